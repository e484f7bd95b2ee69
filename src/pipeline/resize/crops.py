"""Decides which part of a photo becomes a square."""

import json

import numpy as np
import pandas as pd

from pipeline.dataset import views
from pipeline.inference.crops import LEAST, squares

# Of the manifest.
COLUMNS = ["photo", "path", "species", "width", "height", "box", "detections"]


def pictures(manifest: pd.DataFrame, crop: views.Crop, margin: float) -> pd.DataFrame:
    """Lists the pictures that become squares: photos, their subjects, or what moves in them.

    What is cut out is a square around its box, widened by the margin and moved to lie inside the
    photo, so that `decoding.square` cuts nothing off; where the photo is too narrow for one, its
    whole width is taken. Of what moves only the first box is, and with some of its surroundings.

    Args:
        manifest: A row a photo, as ingest wrote it, with at least the columns `COLUMNS`.
        crop: `resize.crop`.
        margin: Share of a box's longer side that is added on each side.

    Returns:
        A row a picture in the order of the paths, since new photos mostly lie together there:
        photo, path, species, width, height (px) and box, the part to cut out as a JSON list of
        [x, y, w, h] in shares of the sides; null for a whole photo.
    """
    rows = manifest[COLUMNS].sort_values("path", ignore_index=True)
    view = views.chosen(manifest, crop)
    boxes = rows["detections" if view == "motion" else "box"].map(json.loads, na_action="ignore")
    if view == "motion":
        boxes = boxes.map(lambda several: several[:1], na_action="ignore")
    elif view == "none":
        boxes = None
    rows = rows.drop(columns="detections").assign(box=boxes).explode("box", ignore_index=True)
    cut = rows["box"].notna()
    sides = rows.loc[cut, ["width", "height"]].to_numpy(dtype=np.float64)
    boxes = np.array(rows.loc[cut, "box"].tolist(), dtype=np.float64).reshape(-1, 4)
    parts = squares(boxes, sides, margin, LEAST if view == "motion" else 0.0)
    rows.loc[cut, ["width", "height"]] = np.rint(parts[:, 2:] * sides).clip(1).astype(int)
    written = [json.dumps(row) for row in parts.tolist()]
    return rows.assign(box=pd.Series(written, rows.index[cut], dtype="str").reindex(rows.index))


def describe(pictures: pd.DataFrame, manifest: pd.DataFrame, crop: views.Crop) -> str:
    """Says what is cut out, of how many photos; nothing where nothing is.

    Args:
        pictures: From `pictures`.
        manifest: As there.
        crop: As there.
    """
    what = {"none": "", "boxes": "the box of each subject", "motion": "what moves"}
    part = what[views.chosen(manifest, crop)]
    if not part:
        return ""
    cut = pictures["box"].notna().sum()
    uncut = len(pictures) - cut
    return f"resize.crop {crop}: {part} is cut out, {cut} pictures; {uncut} are uncut photos\n"
