"""Fits a calibration to photos that training held out."""

import numpy as np
from scipy.optimize import brentq

from pipeline.inference.calibration import Calibration, tempered

KNOWN = 0.95  # share of the photos held out whose answer is at least as probable as `unknown_below`
COVERAGE = 0.98  # chance that a prediction set holds the right species
TEMPERATURES = (0.1, 10.0)


def fit(probabilities: np.ndarray, targets: np.ndarray) -> Calibration:
    """Fits a calibration.

    Args:
        probabilities: The network's answers to photos that training held out, (n, species), rows
            summing to 1.
        targets: The right positions, int (n,).
    """
    temperature = _temperature(probabilities, targets)
    calibrated = tempered(probabilities, temperature)
    highest = np.sort(calibrated.max(axis=1))
    right = np.sort(calibrated[np.arange(len(targets)), targets])[::-1]
    rank = int(np.ceil((len(targets) + 1) * COVERAGE))  # the quantile for a finite sample
    return Calibration(
        temperature,
        unknown_below=float(highest[int(len(highest) * (1 - KNOWN))]),
        set_from=float(right[rank - 1]) if rank <= len(right) else 0.0,
    )


def _temperature(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Returns the temperature of the lowest log-loss within `TEMPERATURES`.

    The loss is convex in the inverse temperature, so its slope has one root. Where all answers are
    right it would have none; a target is 1 less 1 in (n + 2) for that, as in Platt (1999).
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), 1e-12, None))
    clipped = np.exp(logits)
    smoothing = 1 / (len(targets) + 2)
    right = logits[np.arange(len(targets)), targets]
    others = (logits.sum(axis=1) - right) / max(1, logits.shape[1] - 1)
    target = ((1 - smoothing) * right + smoothing * others).mean()

    def slope(inverse: float) -> float:
        return (tempered(clipped, 1 / inverse) * logits).sum(axis=1).mean() - target

    coldest, hottest = TEMPERATURES
    if slope(1 / coldest) <= 0:
        return coldest
    if slope(1 / hottest) >= 0:
        return hottest
    return float(1 / brentq(slope, 1 / hottest, 1 / coldest, xtol=1e-12))
