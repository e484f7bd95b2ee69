"""Compares the sides of pictures as metadata write them with those of the photos on the disk.

Programs that ignore the EXIF orientation annotate a photo as its pixels are stored, and boxes then
lie in a picture turned by 90 degrees.
"""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd
from PIL import Image

from pipeline.core import parallel
from pipeline.core.progress import track
from pipeline.inference import decoding

# Width and height as the pixels are stored, and the EXIF orientation; None if it cannot be read.
_Stored = tuple[int, int, int | None] | None
_PHOTOS_A_JOB = 64
_ORIENTATION = 0x0112
_TURNED = (5, 6, 7, 8)
_CLOSE = 0.01  # of the ratio of the sides; a copy that was resized has been rounded


def compare(rows: pd.DataFrame, top: Path, jobs: int = 1) -> tuple[pd.DataFrame, pd.Index]:
    """Turns boxes that were drawn before a photo was turned upright.

    Args:
        rows: Annotations. Only photos with a box and the sides of the picture are opened.
        top: The folder that their paths start from.
        jobs: Processes to use; they change nothing in the result. Defaults to 1.

    Returns:
        The same rows with boxes, width and height of the upright photos, and the paths of photos
        that are neither as annotated nor turned so; their boxes are null.
    """
    boxes = ["x", "y", "w", "h"]
    claimed = rows[rows[[*boxes, "width", "height"]].notna().all(axis=1)]
    claimed = claimed[(claimed[["width", "height"]] > 0).all(axis=1)]
    rows, turned, others = rows.copy(), {}, []
    photos = claimed.drop_duplicates("path")
    sides = _read(top.absolute(), photos["path"].tolist(), jobs)
    for row, stored in zip(photos.itertuples(), sides, strict=True):
        if stored is None:
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


def _read(top: Path, paths: list[str], jobs: int) -> list[_Stored]:
    """Reads the sides of many photos, which takes minutes where each is fetched over a network."""
    if not paths:
        return []
    batches = parallel.chunks(paths, _PHOTOS_A_JOB)
    done = parallel.map_ordered(partial(_stored_batch, top), batches, jobs)
    return list(chain.from_iterable(track(done, len(paths), "compare sides", count=len)))


def _stored_batch(top: Path, paths: Sequence[str]) -> list[_Stored]:
    return [_stored(top / path) for path in paths]


def _stored(path: Path) -> _Stored:
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
