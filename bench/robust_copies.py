"""What stronger copies of the training photos gain on worsened photos, and cost on clean ones.

Some photos of each species, and what shares a group with them, are held out. A logistic regression
learns from the features of the others, with no copies, with a copy each as `augment` in params.yaml
draws it, and with a copy each of other recipes: the occasional changes more often and stronger
(`often`), noise, lower resolution and haze on top (`further`), or both. The photos held out are
answered as they are and worsened by each corruption at strength 3.

    python bench/robust_copies.py ../shared/photos --cache .cache/bench
"""

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
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
OFTEN = {"grey": 0.2, "blur": 0.3, "jpeg": 0.3, "cutout": 0.2, "night": 0.2}
OFTEN |= {"brightness": 0.4, "contrast": 0.4}
FURTHER = {"haze": 0.2, "resolution": 0.2, "noise": 0.3}  # probabilities
PENALTY = 0.002


def haze(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    share = rng.uniform(0.2, 0.7)
    return (picture * (1 - share) + share * rng.uniform(120, 255)).clip(0, 255).astype(np.uint8)


def resolution(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = int(len(picture) * rng.uniform(0.2, 0.8))
    small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[:2], interpolation=cv2.INTER_LINEAR)


def noise(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    grains = rng.normal(0, rng.uniform(5, 50), picture.shape)
    return (picture + grains).clip(0, 255).astype(np.uint8)


def copy(picture: np.ndarray, ranges: Ranges, further: bool, seed: list[int]) -> np.ndarray:
    """Returns an altered copy of a picture, by a recipe."""
    made = altered(picture, draw(ranges, np.random.default_rng(seed)))
    rng = np.random.default_rng([*seed, 1])
    for change in (haze, resolution, noise):
        if rng.random() < FURTHER[change.__name__] and further:
            made = change(made, rng)
    return made


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
    today = Ranges.of(params.load(Path(__file__).parents[1] / "params.yaml").augment)
    often = dataclasses.replace(today, **OFTEN)
    recipes = {"today": (today, False), "often": (often, False)}
    recipes |= {"further": (today, True), "both": (often, True)}
    as_they_are, rows = features(run, lambda i: pictures[i], rest), []
    for seed in range(arguments.seeds):
        copies = {"none": as_they_are}
        for name, (ranges, more) in recipes.items():
            copies[name] = features(
                run, lambda i, r=ranges, m=more, s=seed: copy(pictures[i], r, m, [s, i]), rest
            )
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
