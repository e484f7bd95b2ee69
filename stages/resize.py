"""Decodes every photo of the manifest into a square of pixels."""

from pathlib import Path

import pandas as pd

from pipeline import errors, parallel, params, resizing
from pipeline.sources import folders


def main() -> None:
    p = params.load()
    manifest = pd.read_parquet("data/photos/manifest.parquet")
    root = folders.root(p.ingest.source, Path("data/photos/files"))
    with parallel.on(p.parallel.backend, p.parallel.address):
        resizing.write(
            Path("data/resized"),
            root,
            manifest,
            p.resize.size,
            p.resize.fit,
            p.ingest.max_pixels,
            p.parallel.jobs,
            Path(".cache/resized"),
        )


if __name__ == "__main__":
    errors.run(main)
