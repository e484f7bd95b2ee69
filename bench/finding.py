"""How much of the animals in bursts motion finds, against boxes that people drew.

Ingests a collection with boxes and bursts, and compares what moves in each frame with the given
boxes: recall at an overlap (IoU) of 0.3 and 0.1, wrong boxes a frame, and the share of frames
without an animal that get a box. Nothing is learned, but the constants of `inference/motion.py`
were chosen on half of camtrap20's bursts.

    python bench/finding.py ../shared/photos/camtrap20
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from project import prepare, repro

from pipeline.inference.pooling import BLANK


def overlaps(found: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Computes intersection over union of each pair of boxes, (found, given)."""
    low = np.maximum(found[:, None, :2], given[None, :, :2])
    high = np.minimum(
        (found[:, :2] + found[:, 2:])[:, None], (given[:, :2] + given[:, 2:])[None, :]
    )
    both = (high - low).clip(0).prod(axis=2)
    areas = found[:, 2:].prod(axis=1)[:, None] + given[:, 2:].prod(axis=1)[None]
    return both / (areas - both)


def boxes(text: str | None, most: int | None = None) -> np.ndarray:
    """Reads a cell of the manifest, (n, 4)."""
    listed = [] if pd.isna(text) else json.loads(text)[:most]
    return np.array(listed, dtype=np.float64).reshape(-1, 4)


def scores(frames: pd.DataFrame, most: int) -> dict[str, float]:
    """Scores the first boxes of each frame against those that were given."""
    hit = {0.3: 0, 0.1: 0}
    animals = wrong = boxed = 0
    for row in frames.itertuples():
        found, given = boxes(row.detections, most), boxes(row.box)
        pairs = overlaps(found, given)
        animals += len(given)
        for least in hit:
            hit[least] += int((pairs > least).any(axis=0).sum())
        wrong += int((~(pairs > 0.3).any(axis=1)).sum())
        boxed += row.species == BLANK and len(found) > 0
    blank = (frames["species"] == BLANK).sum()
    recalls = {f"recall at {least}": count / animals for least, count in hit.items()}
    return recalls | {"wrong a frame": wrong / len(frames), "blank with a box": boxed / blank}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(arguments.source.resolve(), Path(folder), [])
        repro("ingest", Path(folder), environment)
        manifest = pd.read_parquet(Path(folder) / "data/ingested/manifest.parquet")
    rows = [{"boxes a frame": most, **scores(manifest, most)} for most in (1, 2, 3)]
    print(f"{len(manifest)} frames in {manifest['event'].nunique()} events")
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
