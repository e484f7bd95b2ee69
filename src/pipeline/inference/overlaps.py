"""Measures how much boxes overlap. A served model carries this file along."""

import numpy as np


def between(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Computes intersection over union of each pair of boxes, (n, m).

    Args:
        boxes: [x, y, width, height], (n, 4).
        others: The same, (m, 4).
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    both = (high - low).clip(0).prod(axis=2)
    areas = boxes[:, 2:].prod(axis=1)[:, None] + others[:, 2:].prod(axis=1)[None]
    return both / (areas - both)
