"""How many of the animals in bursts are found, against boxes that people drew.

Ingests a collection with boxes and bursts, and compares what moves in each frame, what a detector
boxes, and both together with the given boxes: recall at an overlap (IoU) of 0.3 and 0.1, wrong
boxes a frame, and the share of frames without an animal that get a box. Nothing is learned, but the
constants of `inference/motion.py` were chosen on half of camtrap20's bursts, and those that weigh
both sources on all of them.

    python bench/finding.py ../shared/photos/camtrap20
    python bench/finding.py ../shared/photos/camtrap20 --detector data/detectors/md_v5a.onnx
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from project import prepare, repro

from pipeline.inference.detections import overlap
from pipeline.inference.pooling import BLANK
from pipeline.ingest import detections, detector_boxes
from pipeline.ingest.motion_boxes import FIELDS


def boxes(text: str | None, most: int) -> np.ndarray:
    """Reads a cell of the manifest, (n, 4)."""
    listed = [] if pd.isna(text) else json.loads(text)[:most]
    return np.array(listed, dtype=np.float64).reshape(-1, 4)


def scores(frames: pd.DataFrame, found: pd.Series, most: int) -> dict[str, float]:
    """Scores the first boxes of each frame against those that were given."""
    hit = {0.3: 0, 0.1: 0}
    animals = wrong = boxed = 0
    for row, text in zip(frames.itertuples(), found[frames.index], strict=True):
        several, given = boxes(text, most), boxes(row.box, 1000)
        pairs = overlap(several, given)
        animals += len(given)
        for least in hit:
            hit[least] += int((pairs > least).any(axis=0).sum())
        wrong += int((~(pairs > 0.3).any(axis=1)).sum())
        boxed += row.species == BLANK and len(several) > 0
    blank = (frames["species"] == BLANK).sum()
    recalls = {f"recall at {least}": count / animals for least, count in hit.items()}
    return recalls | {"wrong a frame": wrong / len(frames), "blank with a box": boxed / blank}


def moving(manifest: pd.DataFrame) -> pd.DataFrame:
    """Returns what ingest found to move, a row a box."""
    rows = [
        (row.Index, *box, score)
        for row in manifest[manifest["detections"].notna()].itertuples()
        for box, score in zip(
            json.loads(row.detections), json.loads(row.detection_scores), strict=True
        )
    ]
    table = pd.DataFrame(rows, columns=["photo", *FIELDS]).set_index("photo")
    return table.astype("float64")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--detector", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(arguments.source.resolve(), Path(folder), ["ingest.find=motion"])
        repro("ingest", Path(folder), environment)
        manifest = pd.read_parquet(Path(folder) / "data/ingested/manifest.parquet")
    found = {f"motion, {n} a frame": (manifest["detections"], n) for n in (1, 2, 3)}
    if arguments.detector:
        sources = {"motion": moving(manifest)}
        sources["detector"] = detector_boxes.find(
            arguments.source, manifest, arguments.detector, 10**8, jobs=-1
        )
        for names in (["detector"], ["motion", "detector"]):
            chosen = {name: sources[name] for name in names}
            columns = detections.columns(chosen, manifest.index, detections.LEAST)
            found[" and ".join(names)] = columns["detections"], 3
    half = manifest["event"].rank(method="dense") % 2 == 0
    for title, frames in (("all", manifest), ("half", manifest[half]), ("rest", manifest[~half])):
        rows = [{"boxes of": name, **scores(frames, *one)} for name, one in found.items()]
        print(f"{title}: {len(frames)} frames in {frames['event'].nunique()} events")
        print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
