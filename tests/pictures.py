"""Made pictures that several tests look at."""

import numpy as np
from PIL import Image


def noise(size=(200, 150), seed=0):
    """A picture with detail at every scale, as photos have it."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((*size[::-1], 3))
    for side in (4, 12, 36, 108):
        grid = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        picture += np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC), float)
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    return Image.fromarray(picture.astype(np.uint8))
