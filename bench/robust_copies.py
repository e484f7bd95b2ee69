"""What the occasional changes of copies gain on worsened photos, and cost on clean ones.

Some photos of each species, and what shares a group with them, are held out. A logistic regression
learns from the features of the others: with no copies, and with a copy each, drawn as `augment` in
params.yaml says (`params`), without lower resolution and noise (`without`), with these more often
(`oftener`), and with all other occasional changes more often, light and contrast from a wider range
(`wilder`). The photos held out are answered as they are and worsened by each corruption at
strength 3. Means over seeds of the copies.

    python bench/robust_copies.py ../shared/photos --cache .cache/bench
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from collection_features import SIZE, Collection, parser
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.augment.transforms import Ranges, altered, draw
from pipeline.core import params
from pipeline.core.progress import track
from pipeline.evaluate.corruptions import CORRUPTIONS, corrupt
from pipeline.inference.litert import Network
from pipeline.networks import backbones, litert_export

COLLECTIONS, STRENGTH = ("main13", "monkeys10"), 3
OFTENER = {"resolution": 0.4, "noise": 0.4}
WILDER = {"grey": 0.2, "blur": 0.3, "jpeg": 0.3, "cutout": 0.2, "night": 0.2}
WILDER |= {"brightness": 0.4, "contrast": 0.4}
PENALTY = 0.002


def features(run: Network, pictures: Callable[[int], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Runs a network over made pictures, some at a time."""
    parts = np.array_split(rows, max(1, len(rows) // 64))
    made = (run([pictures(i) for i in part]) for part in parts)
    return np.concatenate(list(track(made, len(rows), "features", "pictures", len)))


def measure(collection: Collection, arguments: argparse.Namespace) -> pd.DataFrame:
    """Returns accuracies: a row clean and a corruption, a column a recipe; means over seeds."""
    network = backbones.get(arguments.network).build(SIZE).whole
    run = Network(litert_export.cached(network, collection.cache))
    pictures, targets = collection.pictures, np.unique(collection.species, return_inverse=True)[1]
    places = pd.Series(np.arange(len(pictures))).groupby(collection.species)
    held_out = places.sample(arguments.per_species, random_state=0).to_numpy()
    rest = np.flatnonzero(~np.isin(collection.groups, collection.groups[held_out]))
    tests = {"clean": features(run, lambda i: pictures[i], held_out)}
    for name in CORRUPTIONS:
        tests[name] = features(
            run, lambda i, n=name: corrupt(pictures[i], n, STRENGTH, i), held_out
        )
    ranges = Ranges.of(params.load(Path(__file__).parents[1] / "params.yaml").augment)
    recipes = {"without": dict.fromkeys(OFTENER, 0.0), "params": {}}
    recipes |= {"oftener": OFTENER, "wilder": WILDER}
    as_they_are, rows = features(run, lambda i: pictures[i], rest), []

    def copy(i: int, drawn_from: Ranges, seed: int) -> np.ndarray:
        return altered(pictures[i], draw(drawn_from, np.random.default_rng([seed, int(i)])))

    for seed in range(arguments.seeds):
        copies = {"none": as_they_are}
        for name, changes in recipes.items():
            recipe = partial(copy, drawn_from=replace(ranges, **changes), seed=seed)
            copies[name] = features(run, recipe, rest)
        for name, made in copies.items():
            model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=300))
            model.fit(np.concatenate([as_they_are, made]), np.tile(targets[rest], 2))
            right = {test: model.score(x, targets[held_out]) for test, x in tests.items()}
            worse = np.mean([right[test] for test in CORRUPTIONS])
            rows.append({"copies": name, **right, "all corruptions": worse})
    return pd.DataFrame(rows).groupby("copies", sort=False).mean().T


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--network", default="efficientnet_lite0")
    options.add_argument("--per-species", type=int, default=15)
    options.add_argument("--seeds", type=int, default=3)
    arguments = options.parse_args()
    for name in COLLECTIONS:
        collection = Collection.of(arguments.photos / name, arguments.cache)
        table = measure(collection, arguments)
        print(f"\n{name}: {arguments.network}, {arguments.seeds} seeds of the copies")
        print(table.round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
