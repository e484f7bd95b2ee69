"""Sheets of small pictures: what a person would rather look at than read."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.inference import decoding

_GAP = 6
_CAPTION = 16


def sheet(rows: Sequence[Sequence[tuple[np.ndarray, str]]], tile: int = 112) -> Image.Image:
    """Lays pictures out in rows, each with a caption below it.

    Args:
        rows: Rows of (picture, caption); a picture is uint8 (height, width, 3), a row may be
            shorter than others.
        tile: Sides of a picture on the sheet (px).

    Returns:
        The sheet, RGB on white.
    """
    columns = max((len(row) for row in rows), default=1)
    step_x, step_y = tile + _GAP, tile + _CAPTION + _GAP
    size = (columns * step_x + _GAP, max(1, len(rows)) * step_y + _GAP)
    result = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(result), ImageFont.load_default(11)
    for i, row in enumerate(rows):
        for j, (picture, caption) in enumerate(row):
            left, top = _GAP + j * step_x, _GAP + i * step_y
            result.paste(Image.fromarray(picture).resize((tile, tile)), (left, top))
            while caption and font.getlength(caption) > tile:
                caption = caption[:-1]
            draw.text((left, top + tile + 1), caption, fill="black", font=font)
    return result


def strip(side: int, max_pixels: int, paths: Sequence[Path]) -> bytes:
    """Lays photos out in one row, and leaves out those that are gone meanwhile.

    Args:
        side: Sides of a picture (px).
        max_pixels: As in `decoding.square`.
        paths: The photos' files.

    Returns:
        A JPEG; no bytes where no photo is left.
    """
    pictures = []
    for path in paths:
        try:
            pictures.append(decoding.square(path.read_bytes(), side, max_pixels=max_pixels))
        except (OSError, decoding.PhotoError):
            continue
    if not pictures:
        return b""
    file = io.BytesIO()
    Image.fromarray(np.concatenate(pictures, axis=1)).save(file, "JPEG", quality=80)
    return file.getvalue()
