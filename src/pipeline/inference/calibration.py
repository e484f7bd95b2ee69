"""Calibrates a recogniser's probabilities, so that they mean what they say."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Turns a network's probabilities into ones that mean what they say, and draws two lines.

    Attributes:
        temperature: What the logits are divided by (Guo et al. 2017, On Calibration of Modern
            Neural Networks). Above 1 it makes answers less sure, below 1 surer. The order of the
            species stays.
        unknown_below: An answer less probable than this counts as unknown (Hendrycks & Gimpel
            2017): 95 % of the photos held out, all of known species, are surer. No photo of an
            unknown species was seen in fitting it.
        set_from: The prediction set holds the species at least this probable: split conformal
            prediction (Vovk et al. 2005) in the form with the smallest sets (Sadinle et al. 2019).
            For photos drawn as the held out ones were, it holds the right species with a
            chance of at least 98 %.
    """

    temperature: float
    unknown_below: float
    set_from: float

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64, for the network's own, (..., species)."""
        return tempered(probabilities, self.temperature)

    def sets(self, calibrated: np.ndarray) -> np.ndarray:
        """Returns which species each prediction set holds: bool (..., species), never none.

        Args:
            calibrated: Probabilities as `apply` returns them, (..., species). The most probable
                species always belongs to the set, which can only add to the chance that it holds
                the right one.
        """
        return (calibrated >= self.set_from) | (
            calibrated == calibrated.max(axis=-1, keepdims=True)
        )


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns the softmax of logits / temperature.

    A probability's logarithm is its logit, less what is the same for all species.
    """
    powers = np.power(probabilities, 1 / temperature, dtype=np.float64)
    return powers / powers.sum(axis=-1, keepdims=True)
