"""Flags photos that may be poor to learn from."""

import json
from typing import get_args

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.core.params import Flag

FLAGS: tuple[Flag, ...] = get_args(Flag)

# Thresholds, with what they flag of 3,881 photos from the web (13 kinds of animals, 10 monkeys).
BLURRED = 100  # none, yet 9 of 10 of them once blurred by 2 % of the shorter side
TOO_DARK = 64  # none: 99 of 100 pixels in the darkest quarter of the range
TOO_BRIGHT = 191  # 1, a page of text: 99 of 100 pixels in the brightest quarter
ONE_COLOUR = 8  # none: a contrast of 3 % of the range
ODD_ASPECT = 2  # 16: cropped to its centre, such a photo shows less than half of itself
TINY_SUBJECT = 1 / 7  # 32 of 224 px a side: `ingest.min_side` says that less shows nothing


def of(rows: pd.DataFrame) -> pd.Series:
    """Names what may be wrong with each photo.

    Args:
        rows: With columns path, format, width, height, cut_short, box (JSON list of [x, y, w, h] in
            shares of the sides, or null) and the `image_statistics.Measures` but for colours; null
            where a file is no photo. `other_sides` may be missing.

    Returns:
        The `FLAGS` of each photo, joined by spaces; empty where there are none.
    """
    columns = ["width", "height", "sharpness", "contrast", "darkest", "lightest"]
    values = rows[columns].astype(float)
    aspect = values[["width", "height"]].max(axis=1) / values[["width", "height"]].min(axis=1)
    number, suffixes = rows["path"].str.extract(r"(\.[^./]+)$", expand=False).factorize()
    formats = [Image.registered_extensions().get(suffix.lower()) for suffix in suffixes]
    claimed = pd.Series([*formats, None], dtype="str").take(number).set_axis(rows.index)
    format = rows["format"].replace("MPO", "JPEG")  # what some cameras call .jpg
    raised = {
        "blurred": values["sharpness"] < BLURRED,
        "too_dark": values["lightest"] < TOO_DARK,
        "too_bright": values["darkest"] > TOO_BRIGHT,
        "one_colour": values["contrast"] < ONE_COLOUR,
        "odd_aspect": aspect > ODD_ASPECT,
        "tiny_subject": rows["box"].map(_side, na_action="ignore").astype(float) < TINY_SUBJECT,
        "other_sides": pd.Series(rows.get("other_sides", False), rows.index),
        "wrong_extension": claimed.notna() & format.notna() & (claimed != format),
        "cut_short": rows["cut_short"].eq(True).fillna(False).astype(bool),
    }
    bits = sum(raised[name].to_numpy(dtype=np.int64) << i for i, name in enumerate(FLAGS))
    kinds, kind = np.unique(bits, return_inverse=True)
    words = [" ".join(name for i, name in enumerate(FLAGS) if bit >> i & 1) for bit in kinds]
    return pd.Series(words, dtype="str").take(kind).set_axis(rows.index)


def _side(boxes: str) -> float:
    """Returns the side of the square as large as the largest box, in shares of the sides."""
    return max(width * height for _, _, width, height in json.loads(boxes)) ** 0.5
