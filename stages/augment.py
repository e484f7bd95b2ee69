"""Draws altered copies of the training pictures."""

from pathlib import Path

import pandas as pd

from pipeline.augment import copies, preview, transforms
from pipeline.core import atomic, parallel, params, stage_timer
from pipeline.dataset import contact_sheets, shards

RESIZED, AUGMENTED = Path("data/resized"), Path("data/augmented")


def main() -> None:
    p = params.load()
    resized = shards.Shards(RESIZED)
    split = pd.read_parquet("data/split.parquet").set_index("photo")["split"]
    training = resized.index[resized.index["photo"].map(split) == "train"]
    rows = copies.expand(training, p.augment.copies, p.augment.max_copies)
    ranges = transforms.Ranges.of(p.augment)
    with parallel.use_backend(p.parallel.backend, p.parallel.address):
        copies.write(AUGMENTED, RESIZED, rows, ranges, p.augment.seed, p.parallel.jobs)
    with atomic.atomic_write(Path("reports/augment")) as folder:
        folder.mkdir()
        contact_sheets.sheet(preview.preview(shards.Shards(AUGMENTED), ranges)).save(
            folder / "preview.png"
        )


if __name__ == "__main__":
    stage_timer.run(main)
