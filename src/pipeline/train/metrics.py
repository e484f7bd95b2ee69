"""The score that tuning and evaluation choose by, and the calibration error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

# Standard errors. The best of many trials is partly luck. With one (Breiman et al. 1984,
# Classification and Regression Trees) the luckiest of 30 was served on two of three splits of 13
# classes, and lost 0.003 and 0.005 on the test photos.
BEYOND_CHANCE = 2


def positions(species: pd.Series, labels: Sequence[str]) -> np.ndarray:
    """Maps each photo's species to its position among the labels, int (n,)."""
    return species.map({name: i for i, name in enumerate(labels)}).to_numpy()


@dataclass(frozen=True)
class Score:
    """Scores of probabilities against the right species.

    Attributes:
        photos: How many there are.
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
        """Computes the score of predictions.

        Args:
            probabilities: (n, species).
            targets: Positions of the right species, int (n,).
        """
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
    def accuracy_lower_bound(self) -> float:
        """The accuracy less one standard error, by which trials are ranked."""
        return self.accuracy - self.standard_error


def paired_accuracy_gain(new: pd.DataFrame, old: pd.DataFrame) -> tuple[float, float]:
    """Compares the accuracy of two recognisers on the photos that both have predicted.

    Args:
        new: One's predictions: photo, and whether the most probable species is `right`.
        old: The other's: photo and `right`.

    Returns:
        The mean gain over photos and its standard error, infinite if there is but one. Paired, for
        what is hard is hard for both.
    """
    of_new, of_old = (table.groupby("photo")["right"].mean() for table in (new, old))
    gain = (of_new - of_old).dropna()
    return float(gain.mean()), float(gain.sem()) if len(gain) > 1 else float("inf")


def calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = 15) -> float:
    """Computes how far probabilities are from the share of predictions that are right, on average.

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
