"""Decides which part of photos networks see: all of it, or the subject."""

from typing import Literal

import pandas as pd

from pipeline.inference import crops

Crop = Literal["auto", "none", "boxes", "motion"]
_ENOUGH = 0.5  # of the photos


def chosen(manifest: pd.DataFrame, crop: Crop) -> Literal["none", "boxes", "motion"]:
    """Returns what is cut out of the photos.

    Args:
        manifest: A row a photo, as ingest wrote it.
        crop: `resize.crop`. With `auto` it is what moves, if that was found in at least half of the
            photos: so only in bursts of fixed cameras, where a served recogniser can find it too.
    """
    if crop != "auto":
        return crop
    return "motion" if manifest["detections"].notna().mean() >= _ENOUGH else "none"


def files(manifest: pd.DataFrame, crop: Crop, margin: float) -> dict[str, bytes]:
    """Returns what a network carries beside it to cut out of photos what it was trained to see.

    Args:
        manifest: A row a photo, as ingest wrote it.
        crop: `resize.crop`.
        margin: `resize.box_margin`.

    Returns:
        The content of a file by its name; nothing where photos are seen as they are sent.
    """
    view = chosen(manifest, crop)
    return {} if view == "none" else {crops.FILE: crops.SubjectCrop(margin, view).written()}
