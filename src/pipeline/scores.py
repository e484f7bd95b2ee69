"""The score that tuning and evaluation choose by."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Score:
    """How well probabilities fit what is known.

    Attributes:
        photos: How many were judged.
        accuracy: Share whose most probable species is right.
        standard_error: Of the accuracy, binomial.
        log_loss: Mean negative logarithm of the right species' probability, in nats.
    """

    photos: int
    accuracy: float
    standard_error: float
    log_loss: float

    @classmethod
    def of(cls, probabilities: np.ndarray, targets: np.ndarray) -> "Score":
        """Args: probabilities, (n, species); targets, the right positions, int (n,)."""
        right = float((probabilities.argmax(axis=1) == targets).mean())
        likely = probabilities[np.arange(len(targets)), targets].clip(1e-12)
        error = float(np.sqrt(right * (1 - right) / len(targets)))
        return cls(len(targets), right, error, float(-np.log(likely).mean()))

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.4f} ± {self.standard_error:.4f}, "
            f"log-loss {self.log_loss:.4f}, {self.photos} photos"
        )

    @property
    def rank(self) -> tuple[float, float]:
        """Greater is better: accuracy, and among equals the lower log-loss."""
        return (self.accuracy, -self.log_loss)
