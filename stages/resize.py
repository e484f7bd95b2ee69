"""Decodes every photo of the manifest, or its subjects, into squares of pixels."""

from pathlib import Path

import pandas as pd

from pipeline import errors, memory, parallel, params, resizing
from pipeline.sources import folders


def main() -> None:
    p = params.load()
    memory.give_back()
    manifest = pd.read_parquet("data/ingested/manifest.parquet", columns=resizing.COLUMNS)
    root = folders.root(p.ingest.source, Path("data/ingested/files"))
    margin = p.resize.box_margin if p.resize.crop_to_box else None
    with parallel.on(p.parallel.backend, p.parallel.address):
        resizing.write(
            Path("data/resized"),
            root,
            resizing.pictures(manifest, margin),
            p.resize.size,
            p.resize.fit,
            p.ingest.max_pixels,
            p.parallel.jobs,
            Path(".cache/resized"),
        )


if __name__ == "__main__":
    errors.run(main)
