"""Whether prediction sets hold the right species as often as they promise.

Heads for five folds are trained once on a collection, as `train` does but without altered copies,
so that each photo has an answer of a head that has not learned from it or from a near-duplicate.
Then, twenty times, whole groups are dealt out by chance: 60 % calibrate (temperature and limit) and
40 % are counted. Sets are counted as conformal prediction promises them, empty where no species is
probable enough; and as they are served, never empty. Each group weighs the same, as in the promise.

    python bench/coverage.py ../shared/photos --cache .cache/bench
"""

from pathlib import Path

import known_data
import numpy as np
import pandas as pd
from collection_features import Collection, parser

from pipeline.core import params
from pipeline.dataset import stratified_groups
from pipeline.evaluate import calibration_fit
from pipeline.networks import backbones

COLLECTIONS, SPLITS, COVERAGES = ("main13", "monkeys10"), 20, (0.9, 0.95, 0.98)


def answers(collection: Collection, p: params.Params) -> tuple[np.ndarray, np.ndarray]:
    """Returns probabilities (n, species), each by a head of another fold, and targets (n,)."""
    units, species = pd.Series(collection.groups), pd.Series(collection.species)
    fold = stratified_groups.deal(units, species, [1 / 5] * 5, 0)
    data = known_data.KnownData(collection.features(p.model.backbone), collection.species, fold)
    held_out = known_data.fit(p, data).held_out
    return np.stack(held_out["probabilities"]), np.searchsorted(data.labels, held_out["species"])


def count(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int
) -> list[dict[str, float]]:
    """Calibrates on one part of the groups and counts on the other."""
    calibrating = np.random.default_rng(seed).random(groups.max() + 1)[groups] < 0.6
    fitted = calibration_fit.fit(probabilities[calibrating], targets[calibrating])
    calibrated = fitted.apply(probabilities)
    right = calibrated[np.arange(len(targets)), targets]
    best = calibrated.argmax(axis=1) == targets
    weight = 1 / np.bincount(groups)[groups[~calibrating]]
    rows = []
    for coverage in COVERAGES:
        limit = calibration_fit.set_from(right[calibrating], groups[calibrating], coverage)
        held = (right >= limit)[~calibrating]
        served = held | best[~calibrating]
        sets = np.maximum((calibrated >= limit).sum(axis=1), 1)[~calibrating]
        rows.append(
            {
                "promised": coverage,
                "held": np.average(held, weights=weight),
                "held as served": np.average(served, weights=weight),
                "species in a set as served": np.average(sets, weights=weight),
            }
        )
    return rows


def main() -> None:
    arguments = parser(__doc__).parse_args()
    p = params.load(Path(__file__).parents[1] / "params.yaml")
    p = params.replaced(p, {"model.backbone": backbones.chosen(p.model.backbone)})
    for name in COLLECTIONS:
        collection = Collection.of(arguments.photos / name, arguments.cache)
        found = answers(collection, p)
        rows = [row for seed in range(SPLITS) for row in count(*found, collection.groups, seed)]
        table = pd.DataFrame(rows).groupby("promised").agg(["mean", "std"])
        print(f"\n{name}, {len(collection.files)} photos, {SPLITS} splits")
        print(table.round(4).to_string(), flush=True)


if __name__ == "__main__":
    main()
