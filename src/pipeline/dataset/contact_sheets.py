"""Draws sheets of small pictures with captions."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.inference import decoding

if TYPE_CHECKING:  # the processes that draw strips need no pandas, which it loads
    from pipeline.dataset.shards import Shards

_GAP = 6
_LINE = 16  # px, of a caption


def sheet(rows: Sequence[Sequence[tuple[np.ndarray, str]]], tile: int = 112) -> Image.Image:
    """Lays pictures out in rows, each with its caption below it on as many lines as it needs.

    Args:
        rows: Rows of (picture, caption); a picture is uint8 (height, width, 3), a row may be
            shorter than others.
        tile: Sides of a picture on the sheet (px). Defaults to 112.

    Returns:
        The sheet, RGB on white.
    """
    font = ImageFont.load_default(11)
    captions = [[_lines(caption, font, tile) for _, caption in row] for row in rows]
    most_lines = [max(map(len, row), default=1) for row in captions]
    heights = [tile + _LINE * count + _GAP for count in most_lines] or [tile + _LINE + _GAP]
    columns = max((len(row) for row in rows), default=1)
    result = Image.new("RGB", (columns * (tile + _GAP) + _GAP, sum(heights) + _GAP), "white")
    draw, top = ImageDraw.Draw(result), _GAP
    for row, lines, height in zip(rows, captions, heights, strict=False):
        for column, (picture, _) in enumerate(row):
            left = _GAP + column * (tile + _GAP)
            result.paste(Image.fromarray(picture).resize((tile, tile)), (left, top))
            for number, line in enumerate(lines[column]):
                at = (left, top + tile + 1 + number * _LINE)
                draw.text(at, line, fill="black", font=font)
        top += height
    return result


def _lines(caption: str, font: ImageFont.ImageFont, width: int) -> list[str]:
    """Breaks a caption into lines of at most `width` px: between words, or else inside one."""
    lines = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def strip(side: int, max_pixels: int, paths: Sequence[Path]) -> bytes:
    """Lays photos out in one row, and leaves out those that are gone meanwhile.

    Args:
        side: Sides of a picture (px).
        max_pixels: A picture with more pixels is left out before it is decoded.
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


def save_pictures(folder: Path, shards: "Shards", positions: Sequence[int]) -> None:
    """Writes small pictures, 160 px wide and high, each as a JPEG named by its position.

    Args:
        folder: Made here.
        shards: The pictures.
        positions: Which of them; each is written once.
    """
    folder.mkdir()
    for position in sorted(set(positions)):
        picture = Image.fromarray(shards.take([position])[0]).resize((160, 160))
        picture.save(folder / f"{position}.jpg", quality=80)
