"""Decodes every photo of the manifest, or its subjects, into squares of pixels."""

from pathlib import Path

import pandas as pd

from pipeline.core import parallel, params, stage_timer, workspace
from pipeline.resize import crops, shard_writer


def main() -> None:
    p = params.load()
    manifest = pd.read_parquet("data/ingested/manifest.parquet", columns=crops.COLUMNS)
    root = workspace.collection_root(Path("data/ingested"))
    squares = shard_writer.Squares(root, p.resize.size, p.resize.fit, p.ingest.max_pixels)
    pictures = crops.pictures(manifest, p.resize.crop, p.resize.box_margin)
    print(crops.describe(pictures, manifest, p.resize.crop), end="")
    with parallel.use_backend(p.parallel.backend, p.parallel.address):
        shard_writer.write(
            Path("data/resized"), squares, pictures, p.parallel.jobs, Path(".cache/resized")
        )


if __name__ == "__main__":
    stage_timer.run(main)
