"""Gathers the boxes of animals that several sources give into columns of the manifest."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.params import Ingest
from pipeline.inference.detections import LEAST, MOST, best
from pipeline.ingest import detector_boxes, motion_boxes

COLUMNS = ("detections", "detection_sources", "detection_scores")
_FIELDS = ["x", "y", "width", "height"]


def require_detector(ingest: Ingest) -> None:
    """Checks that the detector can be read, if there is to be one, before any photo is.

    Raises:
        UserError: There is no such file, or it holds no detector.
    """
    if "detector" in ingest.find:
        detector_boxes.load(Path(ingest.detector))


def find(root: Path, manifest: pd.DataFrame, ingest: Ingest, jobs: int) -> pd.DataFrame:
    """Finds the animals in photos.

    Args:
        root: The folder that paths start from.
        manifest: With columns path, event, location, taken_at and box.
        ingest: Its `find` names the sources (`auto` is what moves in bursts), `detector` the
            network, and `max_pixels` limits photos.
        jobs: Processes to use; they change nothing in the result.

    Returns:
        Columns `COLUMNS`, from `columns`.
    """
    boxes, pixels = {}, ingest.max_pixels
    if "boxes" in ingest.find:
        boxes["boxes"] = given(manifest)
    if {"auto", "motion"} & {*ingest.find}:
        boxes["motion"] = motion_boxes.find(root, manifest, pixels, jobs)
    if "detector" not in ingest.find:
        return columns(boxes, manifest.index)
    boxes["detector"] = detector_boxes.find(root, manifest, Path(ingest.detector), pixels, jobs)
    return columns(boxes, manifest.index, LEAST)


def given(manifest: pd.DataFrame) -> pd.DataFrame:
    """Returns the boxes that came with a collection, by their photos' index in the manifest.

    A row a box: x, y, width, height and score, which is 1.
    """
    boxes = manifest["box"].dropna().map(json.loads).explode()
    rows = np.array(boxes.tolist(), dtype=np.float64).reshape(-1, 4)
    return pd.DataFrame(rows, boxes.index, _FIELDS).assign(score=1.0)


def columns(
    boxes: dict[str, pd.DataFrame], photos: pd.Index, least: tuple[float, float] = (0, 0)
) -> pd.DataFrame:
    """Writes the best boxes of each photo, without those that overlap a better one.

    A box that one of another source overlaps is the surer for it: both are wrong only if each is.

    Args:
        boxes: A row a box by source: x, y, width, height (shares of the sides) and score. The index
            is the photo's. Of boxes that score the same, those of the first source are better.
        photos: The index of the manifest.
        least: Score of a photo's best box, and of its others, to be written. Defaults to (0, 0).

    Returns:
        Columns `COLUMNS` of JSON lists of the same length, up to three, the best box first:
        [x, y, w, h], the name of its source, and its score. Null where there is no box.
    """
    empty = pd.DataFrame(columns=[*_FIELDS, "score"], dtype="float64").assign(source="")
    rows = pd.concat([empty, *(table.assign(source=name) for name, table in boxes.items())])
    rows["photo"] = photos.get_indexer(rows.index)
    rows = rows.sort_values("photo", kind="stable")
    places, sources = rows[_FIELDS].round(6).to_numpy(), rows["source"].to_numpy()
    scores, photo = rows["score"].to_numpy(), rows["photo"].to_numpy()
    firsts = np.flatnonzero(np.diff(photo, prepend=-1))
    ends = np.flatnonzero(np.diff(photo, append=len(photos))) + 1
    written = {name: {} for name in COLUMNS}
    for first, end in zip(firsts, ends, strict=True):
        here = np.s_[first:end]
        chosen, sure = best(places[here], sources[here], scores[here])
        enough = sure > np.where(np.arange(len(sure)) == 0, *least)
        chosen, sure = chosen[enough][:MOST], sure[enough][:MOST]
        if not len(chosen):
            continue
        for name, values in zip(
            COLUMNS, (places[here][chosen], sources[here][chosen], sure.round(6)), strict=True
        ):
            written[name][photos[photo[first]]] = json.dumps(values.tolist())
    return pd.DataFrame(
        {name: pd.Series(texts, dtype="str").reindex(photos) for name, texts in written.items()}
    )
