"""How often a 95 % interval over groups holds the score on the rest of the collection.

A run's answers to the photos that it had not learned from are split at random, whole groups at a
time, into a test part and the rest: the interval is computed from the test part, the score from
the rest. Beside it stands the interval that takes each photo for itself. The rest varies too, so
that even exact intervals hold its score less often than they promise; `expected` says how often,
by the sizes of both parts.

    python bench/intervals.py /path/to/a/project --splits 20
    python bench/intervals.py /path/to/a/project --splits 400 --share 0.1
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.dataset import stratified_groups
from pipeline.evaluate.intervals import intervals
from pipeline.evaluate.scores import Scores
from pipeline.train.metrics import positions

NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier")
SPECIES = ("precision", "recall", "f1", "average_precision")
DRAWS = 1000


def answers(project: Path) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Reads a run's probabilities, right positions, and species and group of each photo."""
    held_out = pd.read_parquet(project / "models/trained/held_out.parquet")
    split = pd.read_parquet(project / "data/split.parquet").set_index("photo")
    held_out["group"] = held_out["photo"].map(split["group"])
    labels = tuple(sorted(held_out["species"].unique()))
    targets = positions(held_out["species"], labels)
    return np.stack(held_out["probabilities"]), targets, held_out[["species", "group"]]


def held(probabilities: np.ndarray, targets: np.ndarray, units: np.ndarray, test: np.ndarray):
    """Returns whether the intervals of a test part hold the scores of the rest, by name."""
    part, rest = (Scores(probabilities[m], targets[m]) for m in (test, ~test))
    overall, species = intervals(part, units, DRAWS)
    counts, found = rest.counts(rest.once), {}
    truth = rest.means(rest.once) | rest.species_means(counts)
    for name in NAMES:
        low, high = overall[name]
        found[name] = [low <= truth[name][0] <= high]
    for name in SPECIES:
        low, high = species[name]
        value = rest.average_precision(rest.once) if name == SPECIES[-1] else getattr(counts, name)
        there = ~np.isnan(low)
        found[name] = list(((low <= value[:, 0]) & (value[:, 0] <= high))[there])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", type=Path, help="where `dvc repro train` has run")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.15, help="of the photos, to test by")
    arguments = parser.parse_args()
    probabilities, targets, photos = answers(arguments.project)
    found: dict[str, dict[str, list]] = {"groups": {}, "photos alone": {}}
    for seed in range(arguments.splits):
        shares = [arguments.share, 1 - arguments.share]
        test = stratified_groups.deal(photos["group"], photos["species"], shares, seed) == 0
        groups = photos.loc[test, "group"].factorize()[0]
        for way, units in (("groups", groups), ("photos alone", np.arange(test.sum()))):
            for name, values in held(probabilities, targets, units, test).items():
                found[way].setdefault(name, []).extend(values)
    ratio = arguments.share / (1 - arguments.share)
    expected = 2 * stats.norm.cdf(stats.norm.ppf(0.975) / np.sqrt(1 + ratio)) - 1
    print(
        f"{len(targets)} photos in {photos['group'].nunique()} groups, {arguments.splits} splits, "
        f"{arguments.share:.0%} to test by, {os.cpu_count()} cores; exact intervals: {expected:.3f}"
    )
    table = pd.DataFrame({w: {n: np.mean(v) for n, v in rows.items()} for w, rows in found.items()})
    table["intervals"] = {name: len(values) for name, values in found["groups"].items()}
    table.loc["all scores of all photos"] = table.loc[list(NAMES)].mean()
    table.loc["all scores of species"] = table.loc[list(SPECIES)].mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
