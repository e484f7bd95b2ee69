"""Computes metrics of a recogniser's answers."""

from dataclasses import asdict

import numpy as np
import pandas as pd
from sklearn import metrics

from pipeline.inference.calibration import Calibration
from pipeline.inference.pooling import BLANK
from pipeline.train.metrics import Score, calibration_error


def positions(species: pd.Series, labels: tuple[str, ...]) -> np.ndarray:
    """Maps each photo's species to its position among the labels, int (n,)."""
    return species.map({name: i for i, name in enumerate(labels)}).to_numpy()


def summarise(
    probabilities: np.ndarray, targets: np.ndarray, labels: tuple[str, ...] = ()
) -> dict[str, float]:
    """Computes the metrics that a recogniser is judged by.

    Args:
        probabilities: (n, species), rows summing to 1.
        targets: The right positions, int (n,).
        labels: The species, in the order of the probabilities. Defaults to none, which is right
            where `blank` is not one of them.

    Returns:
        photos, accuracy, standard_error (binomial), macro_f1 (mean over the species that occur,
        of which `blank` is none), top3, log_loss (nats), calibration_error.
    """
    species = [i for i in np.unique(targets) if i >= len(labels) or labels[i] != BLANK]
    score = Score.of(probabilities, targets)
    first_three = np.argsort(-probabilities, axis=1)[:, :3]
    return {
        "photos": score.photos,
        "accuracy": score.accuracy,
        "standard_error": score.standard_error,
        "macro_f1": float(
            metrics.f1_score(
                targets,
                probabilities.argmax(axis=1),
                labels=species,
                average="macro",
                zero_division=0,
            )
        ),
        "top3": float((first_three == targets[:, None]).any(axis=1).mean()),
        "log_loss": score.log_loss,
        "calibration_error": calibration_error(probabilities, targets),
    }


def trust(calibration: Calibration, probabilities: np.ndarray, targets: np.ndarray) -> dict:
    """Measures on other photos how well a calibration holds.

    Args:
        calibration: Fitted on other photos.
        probabilities: Calibrated, (n, species).
        targets: The right positions, int (n,).

    Returns:
        The calibration's own numbers; unknown, the share of photos called unknown, and
        accuracy_of_known on the rest (None if there is none); coverage, the share of prediction
        sets that hold the right species, and set_size, how many species they hold on average.
    """
    sets = calibration.sets(probabilities)
    known = probabilities.max(axis=1) >= calibration.unknown_below
    right = (probabilities.argmax(axis=1) == targets)[known]
    return {
        **asdict(calibration),
        "unknown": float(1 - known.mean()),
        "accuracy_of_known": float(right.mean()) if len(right) else None,
        "coverage": float(sets[np.arange(len(targets)), targets].mean()),
        "set_size": float(sets.sum(axis=1).mean()),
    }


def per_species(
    probabilities: np.ndarray, targets: np.ndarray, labels: tuple[str, ...]
) -> pd.DataFrame:
    """Computes precision, recall, F1 and support (photos) of each species.

    Args:
        probabilities: (n, species).
        targets: The right positions, int (n,).
        labels: The species, in the order of the probabilities.

    Returns:
        A row a species in the order of `labels`: species, precision, recall, f1, support.
    """
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        targets, probabilities.argmax(axis=1), labels=range(len(labels)), zero_division=0
    )
    columns = {"precision": precision, "recall": recall, "f1": f1, "support": support}
    return pd.DataFrame({"species": labels, **columns})
