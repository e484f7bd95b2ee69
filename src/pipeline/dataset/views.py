"""Decides what of photos networks see: all of it, the subject, or both."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.inference import crops
from pipeline.inference import detector as detectors

Crop = Literal["auto", "none", "boxes", "views"]
COLUMN = "view"  # of an index of pictures: 0 is the whole photo; only where photos have views
SUBJECT = "subject"  # of test photos that have views: the box that these are around
_ENOUGH = 0.5  # of the photos


def chosen(manifest: pd.DataFrame, crop: Crop) -> Literal["none", "boxes", "views"]:
    """Returns what is seen of the photos.

    Args:
        manifest: A row a photo, as ingest wrote it.
        crop: `resize.crop`. With `auto` it is views, if motion showed an animal in at least half of
            the photos: so in bursts of fixed cameras, where a served recogniser can find it too.
    """
    if crop != "auto":
        return crop
    return "views" if _by_motion(manifest).mean() >= _ENOUGH else "none"


def files(
    manifest: pd.DataFrame, crop: Crop, margin: float, detector: Path | None
) -> dict[str, bytes]:
    """Returns what a network carries beside it to see of photos what it was trained to see.

    Args:
        manifest: A row a photo, as ingest wrote it.
        crop: `resize.crop`.
        margin: `resize.box_margin`.
        detector: `ingest.detector`, if it boxed these photos; else None.

    Returns:
        The content of each file by its name; nothing where photos are seen as they are sent. A
        detector is carried where photos are seen by several views.

    Raises:
        UserError: There is no such detector any more.
    """
    seen = chosen(manifest, crop)
    if seen == "none":
        return {}
    cut = subject(manifest, seen, margin)
    if detector is None or not cut.views:
        return {crops.FILE: cut.written()}
    if not detector.is_file():
        raise UserError(f"there is no detector {detector} any more (ingest.detector): put it back")
    name, content = detectors.carried(detector)
    return {crops.FILE: replace(cut, detector=name).written(), name: content}


def subject(
    manifest: pd.DataFrame, seen: Literal["boxes", "views"], margin: float
) -> crops.SubjectCrop:
    """Returns what cuts the subject out of photos.

    Args:
        manifest: A row a photo, with columns detections and detection_sources.
        seen: From `chosen`.
        margin: `resize.box_margin`.
    """
    find = "motion" if seen == "views" and _by_motion(manifest).any() else "boxes"
    return crops.SubjectCrop(margin, find, views=seen == "views")


def _by_motion(manifest: pd.DataFrame) -> pd.Series:
    """Tells of each photo whether a box in it is of what moves."""
    return manifest["detection_sources"].str.contains('"motion"', na=False)


def counts(index: pd.DataFrame) -> np.ndarray:
    """Counts the pictures that show each picture's photo from here on, int (n,).

    Args:
        index: Of pictures; the views of a photo follow each other, the whole photo first.

    Returns:
        For a whole photo the number of its views, at other views 0. Without views 1 each.
    """
    if COLUMN not in index:
        return np.ones(len(index), dtype=int)
    first = (index[COLUMN] == 0).to_numpy()
    number = np.zeros(len(index), dtype=int)
    number[first] = np.diff(np.flatnonzero(np.append(first, True)))
    return number


def pictures(counts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Lists the positions of all views of some photos, one photo after the other, int (n,).

    Args:
        counts: Of all pictures, from `counts`.
        wholes: Positions of the photos' whole pictures, int (photos,).
    """
    lengths = counts[wholes]
    starts = np.repeat(wholes - (lengths.cumsum() - lengths), lengths)
    return starts + np.arange(lengths.sum())
