"""Finds what moves in the frames that a fixed camera took shortly after each other.

Each frame is compared with the median of its burst, which is the scene without the animal. A served
model has numpy, and neither scipy nor OpenCV.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

SIDE = 352  # px, the longer side of the frames that are compared
LEAST = 3  # frames; of two nobody knows in which of them the animal is
_CELL = 4  # px: frames are compared in cells of so many pixels a side
_NOISE = 4.0  # grey levels, of a sensor at night
_WIND = 0.7  # factor on how much a place differs from the median in half of the frames
_REACH = 3  # cells: parts so near each other are one animal
_AREA = 0.0005  # of the frame; less is noise
# Log-odds of hitting an animal: at a score of 1, and for each factor of e. Fitted on camtrap20.
_ODDS, _SLOPE = 2.34, 0.71
_STRIP = 0.09  # of the height, at most, at top and bottom: the camera's burnt-in line of text
_BLACK, _WHITE = 12, 243  # grey levels of its ground


class Box(NamedTuple):
    """A part of a frame.

    Attributes:
        x: Of the left edge, in shares of the width.
        y: Of the upper edge, in shares of the height.
        width: In shares of the frame's.
        height: In shares of the frame's.
        score: How much the part differs from the scene, in multiples of what noise does, times its
            share of the frame.
    """

    x: float
    y: float
    width: float
    height: float
    score: float


def find(frames: Sequence[np.ndarray]) -> list[list[Box]]:
    """Finds what moves in the frames of a burst.

    Args:
        frames: In any order, each uint8 (height, width), grey, from `decoding.grey`.

    Returns:
        Boxes of each frame, the one with the highest score first. None where there are fewer than
        `LEAST` frames of its size.
    """
    sizes = Counter(frame.shape for frame in frames)
    boxes: list[list[Box]] = [[] for _ in frames]
    for shape, count in sizes.items():
        if count < LEAST or min(shape) < 8 * _CELL:
            continue
        same = [i for i, frame in enumerate(frames) if frame.shape == shape]
        difference = _difference(np.stack([frames[i] for i in same]).astype(np.float32))
        for i, cells in zip(same, difference, strict=True):
            boxes[i] = _boxes(cells)
    return boxes


def probability(scores: np.ndarray) -> np.ndarray:
    """Returns how probable it is that boxes of these scores hold an animal, as on camtrap20."""
    return 1 / (1 + np.exp(-(_ODDS + _SLOPE * np.log(scores))))


def _difference(frames: np.ndarray) -> np.ndarray:
    """Returns how much each cell differs from the scene, in multiples of noise and wind, float32.

    Args:
        frames: (n, height, width).

    Returns:
        (n, height // 4, width // 4); 0 on the burnt-in strips.
    """
    top, bottom = _strips(np.median(frames, axis=0))
    scene = np.median(frames, axis=0)
    # A flash or a cloud changes all of a frame by one factor.
    gain = np.median((scene + 8) / (frames + 8), axis=(1, 2), keepdims=True).clip(0.5, 2)
    frames = (frames + 8) * gain - 8
    apart = np.abs(frames - np.median(frames, axis=0))
    usual = np.median(apart, axis=0)  # leaves in the wind move in every frame
    height, width = (side // _CELL for side in usual.shape)
    cells = (_averaged(layer, height, width) for layer in (*apart, usual))
    *apart, usual = map(_blurred, cells)
    difference = np.stack(apart) / (_NOISE + _WIND * usual)
    difference[:, : -(-top // _CELL)] = 0
    difference[:, height - -(-bottom // _CELL) :] = 0
    return difference


def _strips(scene: np.ndarray) -> tuple[int, int]:
    """Returns the heights of the lines of text that a camera burns in at top and bottom (px)."""
    middle = np.median(scene, axis=1)
    plain = (np.abs(scene - middle[:, None]) < 8).mean(axis=1) > 0.5
    strip = plain & ((middle < _BLACK) | (middle > _WHITE))
    most = int(len(scene) * _STRIP)
    ends = (np.flatnonzero(side[:most]) for side in (strip, strip[::-1]))
    top, bottom = (int(rows.max()) + 1 if len(rows) else 0 for rows in ends)
    return top, bottom


def _averaged(layer: np.ndarray, height: int, width: int) -> np.ndarray:
    whole = layer[: height * _CELL, : width * _CELL]
    return whole.reshape(height, _CELL, width, _CELL).mean(axis=(1, 3))


def _blurred(cells: np.ndarray) -> np.ndarray:
    """Averages cells with their neighbours, by 1/4, 1/2 and 1/4 along each axis."""
    for _ in range(2):
        padded = np.pad(cells, ((1, 1), (0, 0)), mode="edge")
        cells = ((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4).T
    return cells


def _boxes(difference: np.ndarray) -> list[Box]:
    """Returns the boxes around the parts of a frame that differ, the highest score first."""
    height, width = difference.shape
    moving = difference > 1
    boxes = []
    for rows, columns in _parts(moving):
        if len(rows) < _AREA * height * width:
            continue
        left, right = columns.min() / width, (columns.max() + 1) / width
        top, bottom = rows.min() / height, (rows.max() + 1) / height
        score = float(difference[rows, columns].sum()) / (height * width)
        box = (left, top, right - left, bottom - top, score)
        boxes.append(Box(*(round(float(number), 6) for number in box)))
    return sorted(boxes, key=lambda box: -box.score)


def _parts(moving: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns rows and columns of cells that are connected by steps of at most `_REACH`."""
    left = set(zip(*(places.tolist() for places in np.nonzero(moving)), strict=True))
    steps = [(i, j) for i in range(-_REACH, _REACH + 1) for j in range(-_REACH, _REACH + 1)]
    parts = []
    while left:
        part, waiting = [], deque([left.pop()])
        while waiting:
            row, column = waiting.popleft()
            part.append((row, column))
            near = {(row + i, column + j) for i, j in steps} & left
            left -= near
            waiting.extend(near)
        rows, columns = np.array(part).T
        parts.append((rows, columns))
    return parts
