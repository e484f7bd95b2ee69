"""Draws altered copies of the training pictures."""

from pathlib import Path

import pandas as pd

from pipeline import augment, errors, outputs, parallel, params, shards, sheets

RESIZED, AUGMENTED = Path("data/resized"), Path("data/augmented")


def main() -> None:
    p = params.load()
    resized = shards.Shards(RESIZED)
    split = pd.read_parquet("data/split.parquet").set_index("photo")["split"]
    training = resized.index[resized.index["photo"].map(split) == "train"]
    rows = augment.expand(training, p.augment.copies, p.augment.max_copies)
    ranges = augment.Ranges.of(p.augment)
    with parallel.on(p.parallel.backend, p.parallel.address):
        augment.write(AUGMENTED, RESIZED, rows, ranges, p.augment.seed, p.parallel.jobs)
    with outputs.whole(Path("reports/augment")) as folder:
        folder.mkdir()
        sheets.sheet(augment.preview(shards.Shards(AUGMENTED), ranges)).save(folder / "preview.png")


if __name__ == "__main__":
    errors.run(main)
