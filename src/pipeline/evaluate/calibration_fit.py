"""Fits a calibration to photos that training held out."""

import numpy as np
from scipy.optimize import brentq

from pipeline.inference.calibration import Calibration, tempered
from pipeline.inference.open_set import KNOWN

COVERAGE = 0.98  # chance that a prediction set holds the right species
TEMPERATURES = (0.1, 10.0)


def fit(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray | None = None
) -> Calibration:
    """Fits a calibration.

    Args:
        probabilities: The network's answers to photos that training held out, (n, species), rows
            summing to 1.
        targets: The right positions, int (n,).
        groups: The group of each photo, (n,): near-duplicates, or what else was photographed
            together. Defaults to None: each photo stands for itself.
    """
    temperature = _temperature(probabilities, targets)
    calibrated = tempered(probabilities, temperature)
    highest = np.sort(calibrated.max(axis=1))
    right = calibrated[np.arange(len(targets)), targets]
    groups = np.arange(len(targets)) if groups is None else groups
    return Calibration(
        temperature,
        unknown_below=float(highest[int(len(highest) * (1 - KNOWN))]),
        set_from=set_from(right, groups, COVERAGE),
    )


def set_from(right: np.ndarray, groups: np.ndarray, coverage: float) -> float:
    """Returns how probable a species must be to belong to a prediction set.

    Split conformal prediction (Vovk et al. 2005, Algorithmic Learning in a Random World). Photos of
    a group are alike, so that a hundred of one burst tell no more than one: groups are exchangeable
    and each weighs the same (as with one photo drawn of each: Dunn et al. 2022, Distribution-Free
    Prediction Sets for Two-Layer Hierarchical Models).

    Args:
        right: The calibrated probability of each photo's right species, (n,).
        groups: The group of each photo, (n,).
        coverage: Chance, 0 to 1, that a set shall hold the right species of a photo of another
            group.

    Returns:
        0 where there are too few groups to promise that.
    """
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(-right, kind="stable")
    weight = np.cumsum((1 / sizes[group])[order])
    enough = weight >= (len(sizes) + 1) * coverage - 1e-9  # the quantile for a finite sample
    return float(right[order][enough.argmax()]) if enough.any() else 0.0


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
