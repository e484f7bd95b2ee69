"""Measures how far the probabilities, the sets and the kinds of answers can be believed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.evaluate.calibration_fit import COVERAGE
from pipeline.inference.calibration import Calibration
from pipeline.inference.open_set import NO_ANIMAL, SPECIES

BINS = 15
_SHARES = np.arange(1, 21) / 20  # of the photos, the surest first


def trust(
    calibration: Calibration,
    probabilities: np.ndarray,
    targets: np.ndarray,
    labels: Sequence[str],
    kinds: Sequence[str],
) -> dict[str, Any]:
    """Measures on other photos of known species how well what was fitted holds.

    Args:
        calibration: Fitted on other photos.
        probabilities: Calibrated, (n, species).
        targets: The right positions, int (n,).
        labels: The species, in the order of the probabilities.
        kinds: Of the answers, as `OpenSetRule.answer_kind` has them.

    Returns:
        The calibration's own numbers; unknown, the share of photos answered otherwise than with a
        species, no_animal, the share in which no animal was seen, and accuracy_of_known on those
        answered with a species (None if there is none); promised_coverage of the prediction sets;
        coverage, the share of them that hold the right species, of all photos and of each species
        (coverage_of); set_size, how many species they hold on average; classwise_calibration_error;
        reliability and risk_coverage, as the functions below compute them.
    """
    sets = calibration.sets(probabilities)
    covered = sets[np.arange(len(targets)), targets]
    kinds = np.asarray(kinds)
    known = kinds == SPECIES
    right = (probabilities.argmax(axis=1) == targets)[known]
    return {
        **asdict(calibration),
        "unknown": float(1 - known.mean()),
        "no_animal": float((kinds == NO_ANIMAL).mean()),
        "accuracy_of_known": float(right.mean()) if len(right) else None,
        "promised_coverage": COVERAGE,
        "coverage": float(covered.mean()),
        "coverage_of": {labels[i]: float(covered[targets == i].mean()) for i in np.unique(targets)},
        "set_size": float(sets.sum(axis=1).mean()),
        "classwise_calibration_error": classwise_calibration_error(probabilities, targets),
        "reliability": reliability(probabilities, targets),
        "risk_coverage": risk_coverage(probabilities, targets),
    }


def classwise_calibration_error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Computes how far the probabilities of each species are from how often it is right.

    The mean over the species of their calibration errors in 15 bins of equal width (Kull et al.
    2019, Beyond Temperature Scaling): unlike the expected calibration error it looks at all
    probabilities, not only at the largest.

    Args:
        probabilities: (n, species), rows summing to 1.
        targets: The right positions, int (n,).

    Returns:
        0 to 1.
    """
    species = probabilities.shape[1]
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    surplus = (targets[:, None] == np.arange(species)) - probabilities
    cells = (bins + BINS * np.arange(species)).ravel()
    gaps = np.abs(np.bincount(cells, surplus.ravel(), minlength=BINS * species))
    return float(gaps.sum() / len(targets) / species)


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> list[dict[str, float]]:
    """Compares what the most probable species' probability says with how often it is right.

    Args:
        probabilities: (n, species).
        targets: The right positions, int (n,).

    Returns:
        For each of 15 bins of equal width in which there are photos: photos, their number; and the
        means of their probability and of their accuracy.
    """
    surest = probabilities.max(axis=1)
    bins = np.minimum((surest * BINS).astype(int), BINS - 1)
    right = probabilities.argmax(axis=1) == targets
    return [
        {
            "photos": int((bins == i).sum()),
            "probability": float(surest[bins == i].mean()),
            "accuracy": float(right[bins == i].mean()),
        }
        for i in np.unique(bins)
    ]


def risk_coverage(probabilities: np.ndarray, targets: np.ndarray) -> list[dict[str, float]]:
    """Computes the accuracy if only the surest photos were answered.

    The risk-coverage curve (El-Yaniv & Wiener 2010, On the Foundations of Noise-free Selective
    Classification), with accuracies in place of risks.

    Args:
        probabilities: (n, species).
        targets: The right positions, int (n,).

    Returns:
        For 5 %, 10 %, ... and all of the photos: answered, that share; accuracy on them; and
        probability, that of the least sure of them.
    """
    surest = probabilities.max(axis=1)
    order = np.argsort(-surest, kind="stable")
    right = (probabilities.argmax(axis=1) == targets)[order].cumsum()
    counts = np.maximum(1, np.rint(_SHARES * len(targets)).astype(int))
    return [
        {
            "answered": float(share),
            "accuracy": float(right[count - 1] / count),
            "probability": float(surest[order[count - 1]]),
        }
        for share, count in zip(_SHARES, counts, strict=True)
    ]
