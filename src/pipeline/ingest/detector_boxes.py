"""Finds animals in photos by a detector."""

from collections.abc import Hashable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core import parallel
from pipeline.core.errors import UserError
from pipeline.core.progress import track
from pipeline.inference import detections, detector
from pipeline.ingest import motion_boxes

_AT_A_TIME = 16  # photos a job
_STRETCH = 100  # frames of one camera among which a spot is looked for
_SPOT = 0.5  # intersection over union from which on boxes of two frames are at one spot
# Boxes at one spot in more than this share of the frames are no animals: on half of camtrap20's
# bursts 5 of 100 are right from 0.1 on, and of those that the network is surer of 15 from 0.5 on.
_OFTEN, _MOSTLY = 0.1, 0.5
_SURE = 0.6  # score


@lru_cache(maxsize=1)  # a process keeps the last one
def load(path: Path) -> detector.Detector:
    """Reads the network that `ingest.detector` names.

    Raises:
        UserError: There is no such file, it is too large, or it holds no such network.
    """
    if not path.is_file():
        raise UserError(
            f"there is no detector {path} (ingest.detector): put one there as "
            "data/detectors/README.md says, or leave `detector` out of ingest.find"
        )
    try:
        return detector.read(path)
    except detector.DetectorError as error:
        raise UserError(f"ingest.detector {error}") from None


def find(
    root: Path, manifest: pd.DataFrame, weights: Path, max_pixels: int, jobs: int
) -> pd.DataFrame:
    """Finds the animals in each photo, without boxes that return at one spot of one camera.

    Args:
        root: The folder that paths start from.
        manifest: With columns path, event, location and taken_at.
        weights: `ingest.detector`.
        max_pixels: Of a photo, at most.
        jobs: Processes to use; they change nothing in the result.

    Returns:
        A row a box, the best first: x, y, width, height (shares of the sides) and score. The index
        is the photo's in the manifest.

    Raises:
        UserError: There is no such detector, or it is none.
    """
    batches = list(parallel.chunks(manifest["path"].tolist(), _AT_A_TIME))
    work = partial(_find, root.absolute(), weights.absolute(), max_pixels)
    done = parallel.map_ordered(work, batches, jobs)
    boxes = [
        one for some in track(done, len(manifest), "detect animals", count=len) for one in some
    ]
    photos = manifest.index.repeat([len(one) for one in boxes])
    rows = np.concatenate([np.empty((0, 5)), *boxes])
    table = pd.DataFrame(rows, photos, list(motion_boxes.FIELDS))
    return table[~returning(table, manifest)]


def _find(root: Path, weights: Path, max_pixels: int, paths: list[str]) -> list[np.ndarray]:
    network = load(weights)
    return [network.boxes((root / path).read_bytes(), max_pixels) for path in paths]


def returning(boxes: pd.DataFrame, manifest: pd.DataFrame) -> np.ndarray:
    """Tells which boxes return at one spot of one camera, as those of a stone do.

    A camera's frames are compared in stretches of up to 100 in the order of time. An animal that
    stays where it is for most of them counts as a stone too.

    Args:
        boxes: A row a box, as `find` returns them.
        manifest: With columns path, event, location and taken_at. Photos without a location are
            compared within their event.

    Returns:
        For each box whether it is at a spot that has one in more than a tenth of the frames, or,
        if its score is over 0.6, in more than half of them, bool (n,).
    """
    is_stone = np.zeros(len(boxes), dtype=bool)
    places, scores = boxes[list(motion_boxes.FIELDS)[:4]].to_numpy(), boxes["score"].to_numpy()
    numbers = boxes.groupby(level=0).indices
    for frames in _stretches(manifest):
        of_frame = [numbers.get(photo, np.empty(0, dtype=int)) for photo in frames]
        here = np.concatenate(of_frame)
        if len(frames) < 3 or not len(here):
            continue
        same = detections.overlap(places[here], places[here]) > _SPOT
        ends = np.cumsum([len(some) for some in of_frame])
        starts = np.array([0, *ends[:-1]])
        filled = starts < ends
        seen = np.logical_or.reduceat(same, starts[filled], axis=1).sum(axis=1)
        share = (seen - 1) / (len(frames) - 1)
        is_stone[here] = share > np.where(scores[here] > _SURE, _MOSTLY, _OFTEN)
    return is_stone


def _stretches(manifest: pd.DataFrame) -> Iterator[list[Hashable]]:
    """Yields the rows of photos that one camera took after each other."""
    camera = ("at " + manifest["location"]).fillna("of " + manifest["event"])
    rows = manifest.sort_values(["taken_at", "path"])
    for _, photos in rows.groupby(camera, sort=True):
        yield from parallel.chunks(photos.index.tolist(), _STRETCH)
