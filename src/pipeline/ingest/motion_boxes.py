"""Finds what moves in the bursts of fixed cameras."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.core import parallel
from pipeline.core.progress import track
from pipeline.inference import decoding, motion

BURST = 32  # frames that are compared at once, at most: of a longer event one stretch after another
_MOST = 3  # boxes a frame


def find(root: Path, manifest: pd.DataFrame, max_pixels: int, jobs: int) -> pd.Series:
    """Finds what moves in each photo of an event.

    Args:
        root: The folder that paths start from.
        manifest: With columns path, event and taken_at.
        max_pixels: Of a photo, at most.
        jobs: Processes to use; they change nothing in the result.

    Returns:
        For each photo a JSON list of up to three [x, y, width, height] in shares of the sides, what
        differs most from the scene first; null where nothing moves, and in events of fewer than
        `motion.LEAST` frames.
    """
    bursts = list(_bursts(manifest))
    work = partial(_find, root.absolute(), max_pixels)
    done = parallel.map_ordered(work, [paths for _, paths in bursts], jobs)
    total = sum(len(paths) for _, paths in bursts)
    written = {}
    for (rows, _), boxes in zip(bursts, track(done, total, "find motion", count=len), strict=True):
        written |= {row: text for row, text in zip(rows, boxes, strict=True) if text}
    return pd.Series(written, dtype="str").reindex(manifest.index)


def _bursts(manifest: pd.DataFrame) -> Iterator[tuple[list, list[str]]]:
    """Yields rows and paths of the frames that are compared with each other."""
    company = manifest.groupby("event")["event"].transform("size") >= motion.LEAST
    rows = manifest[company].sort_values(["event", "taken_at", "path"])
    for _, event in rows.groupby("event", sort=False)["path"]:
        for some in parallel.chunks(event, BURST):
            yield some.index.tolist(), some.tolist()


def _find(root: Path, max_pixels: int, paths: list[str]) -> list[str | None]:
    frames = [decoding.grey((root / path).read_bytes(), motion.SIDE, max_pixels) for path in paths]
    return [
        json.dumps([list(box[:4]) for box in boxes[:_MOST]]) if boxes else None
        for boxes in motion.find(frames)
    ]
