"""Fits a calibration to photos that training held out."""

import numpy as np

from pipeline.inference.calibration import Calibration, tempered

KNOWN = 0.95  # share of the photos held out that are surer than `unknown_below`
COVERAGE = 0.98  # chance that a prediction set holds the right species


def fit(probabilities: np.ndarray, targets: np.ndarray) -> Calibration:
    """Fits to photos that training held out.

    Args:
        probabilities: What the network said, (n, species), rows summing to 1.
        targets: The right positions, int (n,).
    """
    temperature = _temperature(probabilities, targets)
    calibrated = tempered(probabilities, temperature)
    surest = np.sort(calibrated.max(axis=1))
    right = np.sort(calibrated[np.arange(len(targets)), targets])[::-1]
    rank = int(np.ceil((len(targets) + 1) * COVERAGE))  # the quantile for a finite sample
    return Calibration(
        temperature,
        unknown_below=float(surest[int(len(surest) * (1 - KNOWN))]),
        set_from=float(right[rank - 1]) if rank <= len(right) else 0.0,
    )


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
        expected = (tempered(np.exp(logits), 1 / middle) * logits).sum(axis=1).mean()
        low, high = (middle, high) if expected < wanted else (low, middle)
    return float(1 / middle)
