"""Gathers the boxes of animals that several sources give into columns of the manifest."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.params import BoxSource
from pipeline.ingest import motion_boxes

COLUMNS = ("detections", "detection_sources", "detection_scores")
_FIELDS = ["x", "y", "width", "height"]
_MOST = 3  # boxes a photo
_OVERLAP = 0.3  # intersection over union from which on boxes of two sources are one animal


def find(
    root: Path, manifest: pd.DataFrame, sources: Collection[BoxSource], max_pixels: int, jobs: int
) -> pd.DataFrame:
    """Finds the animals in photos.

    Args:
        root: The folder that paths start from.
        manifest: With columns path, event, taken_at and box.
        sources: `ingest.find`. With `auto` it is what moves in bursts.
        max_pixels: Of a photo, at most.
        jobs: Processes to use; they change nothing in the result.

    Returns:
        Columns `COLUMNS`, from `columns`.
    """
    boxes = {}
    if "boxes" in sources:
        boxes["boxes"] = given(manifest)
    if {"auto", "motion"} & {*sources}:
        boxes["motion"] = motion_boxes.find(root, manifest, max_pixels, jobs)
    return columns(boxes, manifest.index)


def given(manifest: pd.DataFrame) -> pd.DataFrame:
    """Returns the boxes that came with a collection.

    Args:
        manifest: With column box.

    Returns:
        A row a box: x, y, width, height and score, which is 1. The index is the photo's in the
        manifest.
    """
    boxes = manifest["box"].dropna().map(json.loads).explode()
    rows = np.array(boxes.tolist(), dtype=np.float64).reshape(-1, 4)
    return pd.DataFrame(rows, boxes.index, _FIELDS).assign(score=1.0)


def columns(boxes: dict[str, pd.DataFrame], photos: pd.Index) -> pd.DataFrame:
    """Writes the best boxes of each photo, without those that overlap a better one.

    Args:
        boxes: A row a box by source: x, y, width, height (shares of the sides) and score. The index
            is the photo's. Of boxes that score the same, those of the first source are better.
        photos: The index of the manifest.

    Returns:
        Columns `COLUMNS` of JSON lists of the same length, up to three, the best box first:
        [x, y, w, h], the name of its source, and its score. Null where there is no box.
    """
    empty = pd.DataFrame(columns=[*_FIELDS, "score"], dtype="float64").assign(source="")
    rows = pd.concat([empty, *(table.assign(source=name) for name, table in boxes.items())])
    rows["photo"] = photos.get_indexer(rows.index)
    rows = rows.sort_values(["photo", "score"], ascending=[True, False], kind="stable")
    places, sources = rows[_FIELDS].to_numpy(), rows["source"].to_numpy()
    scores, photo = rows["score"].round(6).to_numpy(), rows["photo"].to_numpy()
    firsts = np.flatnonzero(np.diff(photo, prepend=-1))
    ends = np.flatnonzero(np.diff(photo, append=len(photos))) + 1
    written = {name: {} for name in COLUMNS}
    for first, end in zip(firsts, ends, strict=True):
        kept = first + np.array(_apart(places[first:end], sources[first:end])[:_MOST])
        for name, values in zip(COLUMNS, (places, sources, scores), strict=True):
            written[name][photos[photo[first]]] = json.dumps(values[kept].tolist())
    return pd.DataFrame(
        {name: pd.Series(texts, dtype="str").reindex(photos) for name, texts in written.items()}
    )


def _apart(boxes: np.ndarray, sources: Sequence[str]) -> list[int]:
    """Returns the rows of boxes that overlap no earlier box of another source."""
    kept: list[int] = []
    for row, box in enumerate(boxes):
        others = [one for one in kept if sources[one] != sources[row]]
        if not others or overlap(boxes[others], box).max() <= _OVERLAP:
            kept.append(row)
    return kept


def overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Computes intersection over union of boxes (n, 4) with one box (4,), both [x, y, w, h]."""
    low = np.maximum(boxes[:, :2], box[:2])
    high = np.minimum(boxes[:, :2] + boxes[:, 2:], box[:2] + box[2:])
    both = (high - low).clip(0).prod(axis=1)
    return both / (boxes[:, 2:].prod(axis=1) + box[2:].prod() - both)
