"""Computes metrics of a recogniser's answers."""

import numpy as np
import pandas as pd

from pipeline.evaluate.scores import Scores
from pipeline.train.metrics import Score, calibration_error


def summarise(
    probabilities: np.ndarray, targets: np.ndarray, labels: tuple[str, ...] = ()
) -> dict[str, float]:
    """Computes the metrics of a recogniser.

    Args:
        probabilities: (n, species), rows summing to 1.
        targets: The right positions, int (n,).
        labels: The species, in the order of the probabilities. Defaults to none, which is right
            where `blank` is not one of them.

    Returns:
        photos, accuracy, standard_error (binomial), balanced_accuracy and macro_f1 (means over the
        species that occur, of which `blank` is none), top3, top5, log_loss (nats), brier (0 to 2),
        calibration_error.
    """
    scores = Scores(probabilities, targets, labels)
    values = scores.means(scores.once) | scores.species_means(scores.counts(scores.once))
    names = ("balanced_accuracy", "macro_f1", "top3", "top5", "log_loss", "brier")
    return {
        "photos": len(targets),
        "accuracy": values["accuracy"].item(),
        "standard_error": Score.of(probabilities, targets).standard_error,
        **{name: values[name].item() for name in names},
        "calibration_error": calibration_error(probabilities, targets),
    }


def per_species(
    probabilities: np.ndarray, targets: np.ndarray, labels: tuple[str, ...]
) -> pd.DataFrame:
    """Computes precision, recall, F1, average precision and support (photos) of each species.

    Args:
        probabilities: (n, species).
        targets: The right positions, int (n,).
        labels: The species, in the order of the probabilities.

    Returns:
        A row a species in the order of `labels`: species, precision, recall, f1, average_precision
        (NaN for a species without a photo), support.
    """
    scores = Scores(probabilities, targets)
    counts = scores.counts(scores.once)
    columns = {
        "precision": counts.precision,
        "recall": counts.recall,
        "f1": counts.f1,
        "average_precision": scores.average_precision(scores.once),
        "support": counts.actual.astype(int),
    }
    return pd.DataFrame({"species": labels} | {k: v[:, 0] for k, v in columns.items()})
