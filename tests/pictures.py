"""Made pictures that several tests look at."""

import cv2
import numpy as np
from PIL import Image

CONTAINERS = {"mp4": "mp4v", "avi": "MJPG", "mov": "mp4v"}  # and the codec of clips in each


def noise(size=(200, 150), seed=0):
    """A picture with detail at every scale, as photos have it."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((*size[::-1], 3))
    for side in (4, 12, 36, 108):
        grid = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        picture += np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC), float)
    picture = (picture - picture.min()) / np.ptp(picture) * 255
    return Image.fromarray(picture.astype(np.uint8))


def film(path, frames, codec=None, rate=10):
    """Writes frames, uint8 (height, width, 3) in RGB, as a clip."""
    height, width = frames[0].shape[:2]
    code = cv2.VideoWriter_fourcc(*(codec or CONTAINERS[path.suffix[1:]]))
    writer = cv2.VideoWriter(str(path), code, rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
