"""Makes one of the boxes that several sources give of a photo's animals."""

from collections.abc import Sequence

import numpy as np

from pipeline.inference import motion

MOST = 3  # boxes a photo
# Where a detector looks at each photo alone, boxes below these scores are rather none: of the best
# box of a photo, and of the others. Chosen on camtrap20.
LEAST = (0.2, 0.5)
_OVERLAP = 0.1  # intersection over union from which on boxes of two sources are one animal


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
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


def best(
    boxes: np.ndarray, sources: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of the boxes of one photo that stand for an animal, and their scores.

    A box that one of another source overlaps is the surer for it: both are wrong only if each is.

    Args:
        boxes: [x, y, width, height], (n, 4).
        sources: Their names, (n,).
        scores: (n,). Of boxes that score the same, the first is better.

    Returns:
        Both in the order of the scores, each with that of the best overlapping box of another
        source.
    """
    one = overlap(boxes, boxes) > _OVERLAP
    one &= sources[:, None] != sources[None]
    surer = 1 - (1 - scores) * (1 - (one * scores).max(axis=1))
    rows: list[int] = []
    for row in np.argsort(-surer, kind="stable").tolist():
        if not one[row, rows].any():
            rows.append(row)
    return np.array(rows), surer[rows]


def first(moving: Sequence[motion.Box], detected: np.ndarray | None) -> list[float] | None:
    """Returns the box that ingest would write first of a photo.

    Args:
        moving: Of what moves in its burst, the highest score first.
        detected: Of a detector: x, y, width, height and score, (n, 5). None where there is none.

    Returns:
        x, y, width and height in shares of the sides; None where no box is sure enough.
    """
    if detected is None:
        return list(moving[0][:4]) if moving else None
    moved = np.array(moving[:MOST], dtype=np.float64).reshape(-1, 5)
    moved[:, 4] = motion.probability(moved[:, 4])
    rows = np.concatenate([moved, detected])
    if not len(rows):
        return None
    places, sources = rows[:, :4].round(6), np.arange(len(rows)) < len(moved)
    order, scores = best(places, sources, rows[:, 4])
    return places[order[0]].tolist() if scores[0] > LEAST[0] else None
