"""Measures sharpness, exposure and colours of a photo, on a small version of it."""

from typing import NamedTuple

import numpy as np
from PIL import Image

_SIDE = 64
_LEVELS = np.arange(256.0) ** [[1], [2]]


class Measures(NamedTuple):
    """Measurements of a photo that do not depend on its subject.

    Attributes:
        sharpness: Variance of the Laplacian of the grey levels (Pech-Pacheco et al. 2000), where
            the shorter side has 64 to 127 px: a photo sharp at that size is sharp enough for a
            network, and detail of natural pictures is much the same at every scale (Field 1987).
        contrast: Standard deviation of the grey levels, 0 to 127.5.
        darkest: The grey level that 1 of 100 pixels lie at or below, 0 to 255.
        lightest: The one that 99 of 100 lie at or below.
        colours: Histogram over 4 x 4 x 4 boxes of red, green and blue: the square root of each
            box's share of the pixels, 0 to 255, as hexadecimal digits. The root keeps rare colours
            apart from absent ones.
    """

    sharpness: float
    contrast: float
    darkest: int
    lightest: int
    colours: str


def measure(picture: Image.Image) -> Measures:
    """Measures a decoded picture of any size; L or RGB."""
    factor = min(picture.size) // _SIDE
    small = picture.reduce(factor) if factor > 1 else picture
    grey = small.convert("L")
    level = np.asarray(grey, dtype=np.int16)
    edges = level[1:-1, 1:-1] << 2
    edges -= level[:-2, 1:-1]
    edges -= level[2:, 1:-1]
    edges -= level[1:-1, :-2]
    edges -= level[1:-1, 2:]
    edge = edges.ravel().astype(np.float64)
    levels = np.array(grey.histogram(), dtype=np.float64)
    total, squares = _LEVELS @ levels
    below = levels.cumsum() / level.size
    # All channels of a pixel at once: numpy is several times slower on every third byte. The upper
    # two bits of each are moved to the left end together, and the rest falls off.
    pixels = np.frombuffer(small.convert("RGB").tobytes("raw", "RGBX"), dtype="<u4")
    box = (pixels & 0xC0C0C0) * np.uint32(1 << 24 | 1 << 14 | 1 << 4) >> 26
    boxes = np.bincount(box, minlength=64)
    return Measures(
        sharpness=_variance(edge.size, edge.sum(), edge @ edge),
        contrast=_variance(level.size, total, squares) ** 0.5,
        darkest=int(below.searchsorted(0.01)),
        lightest=int(below.searchsorted(0.99)),
        colours=np.sqrt(boxes * 65025 // level.size).astype(np.uint8).tobytes().hex(),
    )


def _variance(count: int, total: float, squares: float) -> float:
    """Computes a variance from whole numbers, which float64 holds: the same on every machine."""
    return (int(squares) - int(total) ** 2 / count) / count if count else 0.0


def histogram(colours: str) -> np.ndarray:
    """Decodes the colours of `Measures`, uint8 (64,)."""
    return np.frombuffer(bytes.fromhex(colours), dtype=np.uint8)
