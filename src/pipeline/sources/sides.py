"""Compares the sides of pictures as metadata write them with those of the photos on the disk.

Programs that ignore the EXIF orientation annotate a photo as its pixels are stored, and boxes then
lie in a picture turned by 90 degrees.
"""

from pathlib import Path

import pandas as pd
from PIL import Image

from pipeline.inference import decoding

_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
_CLOSE = 0.01  # of the ratio of the sides; a copy that was resized has been rounded


def compare(rows: pd.DataFrame, top: Path) -> tuple[pd.DataFrame, pd.Index]:
    """Turns boxes that were drawn before a photo below `top` was turned upright.

    Returns:
        The same rows with boxes, width and height of the upright photos, and the paths of photos
        that are neither as annotated nor turned so; their boxes are null.
    """
    boxes = ["x", "y", "w", "h"]
    claimed = rows[rows[[*boxes, "width", "height"]].notna().all(axis=1)]
    claimed = claimed[(claimed[["width", "height"]] > 0).all(axis=1)]
    rows, turned, others = rows.copy(), {}, []
    for row in claimed.drop_duplicates("path").itertuples():
        if (stored := _stored(top / row.path)) is None:
            continue
        width, height, orientation = stored
        is_turned = orientation in _TURNED
        upright = (height, width) if is_turned else (width, height)
        if _alike(row.width, row.height, *upright):
            continue
        if is_turned and _alike(row.width, row.height, width, height):
            turned[row.path] = orientation
        else:
            others.append(row.path)
    for index, row in claimed[claimed["path"].isin(list(turned))].iterrows():
        x, y, w, h, width, height = row[[*boxes, "width", "height"]]
        orientation = turned[row["path"]]
        across = height - y - h if orientation in (6, 7) else y
        down = width - x - w if orientation in (7, 8) else x
        rows.loc[index, [*boxes, "width", "height"]] = [across, down, h, w, height, width]
    rows.loc[rows["path"].isin(others), boxes] = None
    return rows, pd.Index(others, dtype="str")


def _stored(path: Path) -> tuple[int, int, int | None] | None:
    """Returns width and height as the pixels are stored, and the EXIF orientation."""
    try:
        with Image.open(path, formats=decoding.FORMATS) as image:
            sides, orientation = image.size, image.getexif().get(_ORIENTATION)
            # Pillow gives the sides of an upright TIFF.
            is_swapped = image.format == "TIFF" and orientation in _TURNED
            return *(sides[::-1] if is_swapped else sides), orientation
    except Exception:  # what it is that cannot be read, the inspection of the photos says
        return None


def _alike(width: float, height: float, other_width: float, other_height: float) -> bool:
    """Returns whether two pictures have the same ratio of sides."""
    return abs(width * other_height - height * other_width) <= _CLOSE * width * other_height
