"""Decides which parts of a photo become squares."""

import json

import numpy as np
import pandas as pd

from pipeline.dataset import views
from pipeline.inference.crops import squares

# Of the manifest.
COLUMNS = [
    *("photo", "path", "species", "width", "height", "box"),
    *("detections", "detection_sources"),
]


def pictures(manifest: pd.DataFrame, crop: views.Crop, margin: float) -> pd.DataFrame:
    """Lists the pictures that become squares: photos, their subjects, or views of both.

    What is cut out is a square around its box, widened by the margin and moved to lie inside the
    photo, so that `decoding.square` cuts nothing off; where the photo is too narrow for one, its
    whole width is taken. Views of a photo are all of it and, where an animal was found, the parts
    around the first detection.

    Args:
        manifest: A row a photo, as ingest wrote it, with at least the columns `COLUMNS`.
        crop: `resize.crop`.
        margin: Share of a box's longer side that is added on each side.

    Returns:
        A row a picture in the order of the paths, since new photos mostly lie together there:
        photo, path, species, width, height (px) and box, the part to cut out as a JSON list of
        [x, y, w, h] in shares of the sides; null for a whole photo. With views also `view`, 0 for
        the whole photo, which comes first.
    """
    seen = views.chosen(manifest, crop)
    rows = manifest[COLUMNS].sort_values("path", ignore_index=True)
    texts = rows.pop("detections") if seen == "views" else rows.pop("box")
    rows = rows[["photo", "path", "species", "width", "height"]]
    if seen == "none":
        return rows.assign(box=pd.Series(None, rows.index, dtype="str"))
    boxes = texts.map(json.loads, na_action="ignore")
    if seen == "views":
        boxes = boxes.map(lambda several: several[:1], na_action="ignore")
    rows = rows.assign(box=boxes).explode("box", ignore_index=True)
    cut = rows["box"].notna()
    whole = rows if seen == "views" else rows[~cut]
    parts = [whole.assign(box=pd.Series(None, whole.index, dtype="str"), view=0)]
    for view, part in enumerate(views.subject(manifest, seen, margin).parts, start=1):
        parts.append(_cut_out(rows[cut], *part).assign(view=view))
    rows = pd.concat(parts).sort_index(kind="stable", ignore_index=True)
    return rows if seen == "views" else rows.drop(columns="view")


def _cut_out(rows: pd.DataFrame, margin: float, least: float) -> pd.DataFrame:
    """Returns the squares around boxes, as JSON, with their width and height (px)."""
    sides = rows[["width", "height"]].to_numpy(dtype=np.float64)
    boxes = np.array(rows["box"].tolist(), dtype=np.float64).reshape(-1, 4)
    parts = squares(boxes, sides, margin, least)
    width, height = np.rint(parts[:, 2:] * sides).clip(1).astype(int).T
    written = pd.Series([json.dumps(part) for part in parts.tolist()], rows.index, dtype="str")
    return rows.assign(width=width, height=height, box=written)


def describe(pictures: pd.DataFrame, manifest: pd.DataFrame, crop: views.Crop) -> str:
    """Says what is cut out, of how many photos; nothing where nothing is.

    Args:
        pictures: From `pictures`.
        manifest: As there.
        crop: As there.
    """
    seen = views.chosen(manifest, crop)
    if seen == "none":
        return ""
    cut = pictures["box"].notna().sum()
    if seen == "boxes":
        what = f"the box of each subject is cut out, {cut} pictures; {len(pictures) - cut} are"
        return f"resize.crop {crop}: {what} uncut photos\n"
    photos = pictures["photo"].nunique()
    closely = pictures.loc[pictures["box"].notna(), "photo"].nunique()
    what = f"{photos} photos are seen whole, and {closely} of them closely too, {cut} pictures more"
    return f"resize.crop {crop}: {what}\n"
