"""Finds what moves in the bursts of fixed cameras."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.core import parallel
from pipeline.core.progress import track
from pipeline.inference import decoding, motion
from pipeline.inference.detections import MOST

BURST = 32  # frames that are compared at once, at most: of a longer event one stretch after another
FIELDS = motion.Box._fields


def find(root: Path, manifest: pd.DataFrame, max_pixels: int, jobs: int) -> pd.DataFrame:
    """Finds what moves in each photo of an event of at least `motion.LEAST` frames.

    Args:
        root: The folder that paths start from.
        manifest: With columns path, event and taken_at.
        max_pixels: Of a photo, at most.
        jobs: Processes to use; they change nothing in the result.

    Returns:
        A row a box, up to three a photo, what differs most from the scene first: the fields of
        `motion.Box`, but the score is the probability that an animal is there, as on camtrap20. The
        index is the photo's in the manifest.
    """
    bursts = list(_bursts(manifest))
    work = partial(_find, root.absolute(), max_pixels)
    done = parallel.map_ordered(work, [paths for _, paths in bursts], jobs)
    total = sum(len(paths) for _, paths in bursts)
    boxes = [some for burst in track(done, total, "find motion", count=len) for some in burst]
    photos = pd.Index([photo for of_burst, _ in bursts for photo in of_burst])
    photos = photos.repeat([len(some) for some in boxes])
    rows = [box for some in boxes for box in some]
    table = pd.DataFrame(rows, photos, list(FIELDS), dtype="float64")
    return table.assign(score=motion.probability(table["score"].to_numpy()))


def _bursts(manifest: pd.DataFrame) -> Iterator[tuple[list, list[str]]]:
    """Yields rows and paths of the frames that are compared with each other."""
    company = manifest.groupby("event")["event"].transform("size") >= motion.LEAST
    rows = manifest[company].sort_values(["event", "taken_at", "path"])
    for _, event in rows.groupby("event", sort=False)["path"]:
        for some in parallel.chunks(event, BURST):
            yield some.index.tolist(), some.tolist()


def _find(root: Path, max_pixels: int, paths: list[str]) -> list[list[motion.Box]]:
    frames = [decoding.grey((root / path).read_bytes(), motion.SIDE, max_pixels) for path in paths]
    return [boxes[:MOST] for boxes in motion.find(frames)]
