"""How many exchanged labels confident learning finds among the first few photos of its list.

In a project where `dvc repro train` has run, some of the training and validation photos get the
label of another species at random; heads learn from these labels, as in stage train, on the cached
features; and the list of `evaluate.label_errors` is drawn from what the heads answer to photos that
they had not learned from. Beside it stands the list by the least probable label, no thresholds.
With --suspects, a table with a column path, it says where photos stand in the list that was drawn
without any exchange.

    python bench/label_errors.py /path/to/a/project --suspects /path/to/main13_suspects.csv
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.augment import transforms
from pipeline.core import params
from pipeline.evaluate import label_errors
from pipeline.train import datasets, trainer
from pipeline.train.metrics import positions
from pipeline.train.settings import NetworkSettings, TrainingSettings


def exchange(photos: pd.DataFrame, share: float, seed: int) -> pd.Series:
    """Returns the species of each photo, some exchanged for any other with equal chance."""
    rng = np.random.default_rng(seed)
    labels = np.array(sorted(photos["species"].unique()))
    species = photos.set_index("photo")["species"]
    chosen = rng.choice(len(species), round(share * len(species)), replace=False)
    old = np.searchsorted(labels, species.iloc[chosen])
    species.iloc[chosen] = labels[(old + rng.integers(1, len(labels), len(old))) % len(labels)]
    return species


def judged(species: pd.Series | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Trains heads on these labels, or the collection's own; returns what they had held out."""
    p = params.load()
    folders = (Path("data/augmented"), Path("data/resized"), Path("data/split.parquet"))
    ranges = transforms.Ranges.of(p.augment)
    data = datasets.TrainingData.load(*folders, Path(".cache"), ranges)
    if species is not None:
        for pictures in (data.training, data.validation):
            index = pictures.shards.index
            index["species"] = index["photo"].map(species).fillna(index["species"])
    trained = trainer.fit(NetworkSettings.of(p.model), TrainingSettings.of(p.train), data)
    return trained.held_out, trained.labels


def ranked(held_out: pd.DataFrame, labels: tuple[str, ...]) -> tuple[pd.Index, pd.Index]:
    """Returns all photos in the order of the list, and by the least probable label."""
    probabilities = np.stack(held_out["probabilities"])
    own = positions(held_out["species"], labels)
    table = pd.DataFrame(
        {
            "trusted": ~label_errors.suspected(probabilities, own),
            "margin": label_errors.margins(probabilities, own),
            "own": probabilities[np.arange(len(own)), own],
        },
        index=held_out["photo"],
    )
    return table.sort_values(["trusted", "margin"]).index, table.sort_values("own").index


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", type=Path, help="where `dvc repro train` has run")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.05, help="of the labels, exchanged")
    parser.add_argument("--first", type=float, default=0.08, help="of the photos of the list")
    parser.add_argument("--suspects", type=Path, help="a table with a column path")
    arguments = parser.parse_args()
    suspects = pd.read_csv(arguments.suspects) if arguments.suspects else None
    os.chdir(arguments.project)
    split = pd.read_parquet("data/split.parquet").query("split != 'test'")
    first = round(arguments.first * len(split))
    print(f"{len(split)} photos, {arguments.share:.0%} exchanged, {os.cpu_count()} cores")
    for seed in range(arguments.seeds):
        species = exchange(split, arguments.share, seed)
        wrong = set(species.index[species != split.set_index("photo")["species"]])
        held_out, labels = judged(species)
        shares = [
            len(wrong & set(order[:first])) / len(wrong) for order in ranked(held_out, labels)
        ]
        right = np.stack(held_out["probabilities"]).argmax(axis=1)
        truth = positions(held_out["photo"].map(split.set_index("photo")["species"]), labels)
        print(
            f"seed {seed}: of {len(wrong)} exchanged {shares[0]:.1%} among the first {first}, by "
            f"the least probable label {shares[1]:.1%}; accuracy by the right labels "
            f"{(right == truth).mean():.4f}",
            flush=True,
        )
    if suspects is None:
        return
    order, _ = ranked(*judged(None))
    manifest = pd.read_parquet("data/ingested/manifest.parquet").set_index("path")["photo"]
    places = pd.Series(np.arange(1, len(order) + 1), order)
    for path in suspects["path"]:
        place = places.get(manifest.get(path))
        print(f"{path}: " + ("a test photo" if place is None else f"{place} of {len(order)}"))


if __name__ == "__main__":
    main()
