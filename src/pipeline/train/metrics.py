"""The score that tuning and evaluation choose by, and how far probabilities are to be believed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


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
    def sure(self) -> float:
        """The accuracy less one standard error: of two that are as good, the surer one is more."""
        return self.accuracy - self.standard_error


def gained(new: "pd.DataFrame", old: "pd.DataFrame") -> tuple[float, float]:
    """What one recogniser gains in accuracy over another on the photos that both were judged by.

    Args:
        new: Its `trainer.Trained.held_out`: of its columns photo, and whether the answer is right.
        old: Likewise of the other.

    Returns:
        The mean over photos and its standard error, infinite if it is but one. Paired, for what
        is hard is hard for both.
    """
    of_new, of_old = (table.groupby("photo")["right"].mean() for table in (new, old))
    gain = (of_new - of_old).dropna()
    return float(gain.mean()), float(gain.sem()) if len(gain) > 1 else float("inf")


def calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = 15) -> float:
    """How far the probability of an answer is from the share of answers that are right, on average.

    The expected calibration error (Naeini et al. 2015, Obtaining Well Calibrated Probabilities
    Using Bayesian Binning), of the most probable species and with the 15 bins of equal width of
    Guo et al. 2017, On Calibration of Modern Neural Networks.

    Args:
        probabilities: (n, species), rows summing to 1.
        targets: The right positions, int (n,).
        bins: Of the probabilities from 0 to 1. Defaults to 15.

    Returns:
        0 (an answer of probability p is right in a share p of the cases) to 1.
    """
    surest = probabilities.max(axis=1)
    surplus = (probabilities.argmax(axis=1) == targets) - surest
    bin_of = np.minimum((surest * bins).astype(int), bins - 1)
    return float(np.abs(np.bincount(bin_of, surplus)).sum() / len(targets))
