"""Describes the photos that training held out, by which networks are chosen and calibrated."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.dataset.sampling import sample

FILE = "held_out.parquet"  # beside the network
# Enough to tell unknown animals by: of 13 classes 18 % pass with 800 photos to fit to, 14 % with
# 1,600 (bench/unknown.py).
FEATURES_OF = 2000


def table(
    index: pd.DataFrame,
    targets: np.ndarray,
    labels: tuple[str, ...],
    logits: np.ndarray,
    features: Callable[[np.ndarray], np.ndarray] | None,
) -> pd.DataFrame:
    """Describes each picture held out.

    Args:
        index: photo and split of each.
        targets: Its species, as a position in `labels`, int (n,).
        labels: The species, in the order of the logits.
        logits: Of each picture, by a head that had not learned from it, (n, species).
        features: Returns what the served network pools from the pictures in some rows,
            (rows, channels); None where it pools something else than training saw.

    Returns:
        photo, split, species, probabilities (in the order of `labels`), largest_logit, right
        (whether the most probable species is) and, if there are any, features, lists of up to
        `FEATURES_OF` pictures, null for the others.
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows = index.reset_index(drop=True).assign(
        species=np.array(labels)[targets],
        probabilities=list(powers / powers.sum(axis=1, keepdims=True)),
        largest_logit=logits.max(axis=1),
        right=logits.argmax(axis=1) == targets,
    )
    if features is None:
        return rows
    drawn = draw(rows).index
    values = pd.Series(list(features(drawn.to_numpy())), drawn)
    return rows.assign(features=values.reindex(rows.index))


def draw(rows: pd.DataFrame) -> pd.DataFrame:
    """Draws up to `FEATURES_OF` of the pictures held out, those of the validation split first.

    Args:
        rows: With columns split and species.
    """
    validation = rows["split"] == "validation"
    first = sample(rows[validation], FEATURES_OF)
    return pd.concat([first, sample(rows[~validation], FEATURES_OF - len(first))])
