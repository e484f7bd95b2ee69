"""How far a recogniser's probabilities can be trusted, fitted on photos it was not trained on.

Nothing of the project is imported: a served model carries this file along.
"""

from dataclasses import dataclass

import numpy as np

KNOWN = 0.95  # share of the photos held out that are surer than `unknown_below`
COVERAGE = 0.98  # chance that a prediction set holds the right species


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

    @classmethod
    def fit(cls, probabilities: np.ndarray, targets: np.ndarray) -> "Calibration":
        """Fits to photos that training held out.

        Args:
            probabilities: What the network said, (n, species), rows summing to 1.
            targets: The right positions, int (n,).
        """
        temperature = _temperature(probabilities, targets)
        calibrated = _tempered(probabilities, temperature)
        surest = np.sort(calibrated.max(axis=1))
        right = np.sort(calibrated[np.arange(len(targets)), targets])[::-1]
        rank = int(np.ceil((len(targets) + 1) * COVERAGE))  # the quantile for a finite sample
        return cls(
            temperature,
            unknown_below=float(surest[int(len(surest) * (1 - KNOWN))]),
            set_from=float(right[rank - 1]) if rank <= len(right) else 0.0,
        )

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64, for the network's own, (..., species)."""
        return _tempered(probabilities, self.temperature)

    def sets(self, calibrated: np.ndarray) -> np.ndarray:
        """Which species each prediction set holds: bool (..., species), never none.

        Args:
            calibrated: What `apply` gave, (..., species). The most probable species always belongs
                to the set, which can only add to the chance that it holds the right one.
        """
        return (calibrated >= self.set_from) | (
            calibrated == calibrated.max(axis=-1, keepdims=True)
        )


def _tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of logits / temperature; a probability's logarithm is its logit, less what is
    the same for all species."""
    powers = np.power(probabilities, 1 / temperature, dtype=np.float64)
    return powers / powers.sum(axis=-1, keepdims=True)


def _temperature(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The temperature of the lowest log-loss, between 0.1 and 10.

    The loss is convex in the inverse temperature, so its slope is bisected. Where all answers are
    right it would have no end; a target is 1 less 1 in (n + 2) for that, as in Platt (1999).
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), 1e-12, None))
    doubt = 1 / (len(targets) + 2)
    right = logits[np.arange(len(targets)), targets]
    others = (logits.sum(axis=1) - right) / max(1, logits.shape[1] - 1)
    wanted = ((1 - doubt) * right + doubt * others).mean()
    low, high = 0.1, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        expected = (_tempered(np.exp(logits), 1 / middle) * logits).sum(axis=1).mean()
        low, high = (middle, high) if expected < wanted else (low, middle)
    return float(1 / middle)
