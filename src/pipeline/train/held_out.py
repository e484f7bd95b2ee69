"""Describes the photos that training held out, by which networks are chosen and calibrated."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from pipeline.dataset import views
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
    """Describes each picture held out, or each photo where photos have several views.

    The logits of a photo are the mean of its views', as `view_mean` makes them, and so are its
    features.

    Args:
        index: photo and split of each picture, and view where there are several.
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
    counts = views.counts(index)
    first = np.flatnonzero(counts)
    logits, targets = _means(logits, counts[first]), targets[first]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    rows = (
        index.iloc[first]
        .reset_index(drop=True)[["photo", "split"]]
        .assign(
            species=np.array(labels)[targets],
            probabilities=list(powers / powers.sum(axis=1, keepdims=True)),
            largest_logit=logits.max(axis=1),
            right=logits.argmax(axis=1) == targets,
        )
    )
    if features is None:
        return rows
    drawn = draw(rows).index
    pictures, lengths = views.pictures(counts, first[drawn]), counts[first[drawn]]
    values = pd.Series(list(_means(features(pictures), lengths)), drawn)
    return rows.assign(features=values.reindex(rows.index))


def _means(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Averages the views of each photo.

    Args:
        values: Of each picture, float (n, ...); views of a photo follow each other.
        lengths: How many views each photo has, int (photos,).
    """
    sums = np.add.reduceat(values, lengths.cumsum() - lengths)
    return sums / lengths[:, None].astype(values.dtype)


def draw(rows: pd.DataFrame) -> pd.DataFrame:
    """Draws up to `FEATURES_OF` of the pictures held out, those of the validation split first.

    Args:
        rows: With columns split and species.
    """
    validation = rows["split"] == "validation"
    first = sample(rows[validation], FEATURES_OF)
    return pd.concat([first, sample(rows[~validation], FEATURES_OF - len(first))])
