"""Pools the answers to the frames of one event into one answer."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline.inference.calibration import Calibration

BLANK = "blank"  # the label of photos without an animal
FILE = "pooling.json"  # beside the network
GEOMETRIC, ARITHMETIC = "geometric", "arithmetic"
_LEAST = 1e-6  # of a probability in a geometric mean: one frame alone cannot rule a species out


@dataclass(frozen=True)
class Pooling:
    """Settings by which the frames of an event make one answer.

    Attributes:
        mean: `geometric` or `arithmetic`, of the frames' probabilities.
        calibration: Of the pooled probabilities.
    """

    mean: str
    calibration: Calibration

    @classmethod
    def load(cls, recogniser: Path) -> "Pooling":
        """Reads it from a recogniser's folder.

        A recogniser of photos without events has none of its own: the geometric mean of its photos'
        answers is taken as it is.
        """
        file = recogniser / FILE
        if not file.exists():
            about = json.loads((recogniser / "labels.json").read_text())
            return cls(GEOMETRIC, Calibration(**about["calibration"] | {"temperature": 1.0}))
        written = json.loads(file.read_text())
        return cls(written["mean"], Calibration(**written["calibration"]))

    def written(self) -> bytes:
        """Returns the content of its file."""
        return f"{json.dumps(asdict(self), indent=2)}\n".encode()

    def answers(
        self, probabilities: np.ndarray, event: np.ndarray, labels: Sequence[str]
    ) -> np.ndarray:
        """Returns the calibrated answer to each event, (events, species).

        Args:
            probabilities: Calibrated answers to frames, (n, species).
            event: The event of each frame, int (n,), 0 to events - 1, each at least once.
            labels: The species, in the order of the probabilities.
        """
        return self.calibration.apply(pooled(self.mean, probabilities, event, labels))


def pooled(
    mean: str, probabilities: np.ndarray, event: np.ndarray, labels: Sequence[str]
) -> np.ndarray:
    """Pools the probabilities of each event's frames, (events, species), rows summing to 1.

    An animal is in the event if it is in one frame. So an event is as probably blank as the frame
    that is least so, and frames say what animal it is in proportion to how probably they show one.

    Args:
        mean: `geometric` or `arithmetic`.
        probabilities: (n, species), rows summing to 1.
        event: The event of each frame, int (n,), 0 to events - 1, each at least once.
        labels: The species, in the order of the probabilities; `blank` may be one of them.
    """
    animals = np.array([label != BLANK for label in labels])
    seen = probabilities[:, animals].sum(axis=1)  # 1 where there is no blank
    within = probabilities[:, animals] / seen.clip(1e-12)[:, None]
    values = np.log(within.clip(_LEAST)) if mean == GEOMETRIC else within
    weight = seen.clip(_LEAST)
    events = int(event.max()) + 1
    total = np.bincount(event, weight, events)
    sums = np.stack([np.bincount(event, weight * column, events) for column in values.T], axis=1)
    means = sums / total[:, None]
    species = np.exp(means) if mean == GEOMETRIC else means
    species /= species.sum(axis=1, keepdims=True)
    surest = np.zeros(events)
    np.maximum.at(surest, event, seen)
    answer = np.empty((events, len(labels)))
    answer[:, animals] = species * surest[:, None]
    answer[:, ~animals] = (1 - surest)[:, None]
    return answer
