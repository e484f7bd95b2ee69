"""Puts an interval around each score: what other photos of the same kind could have made of it."""

import numpy as np
import pandas as pd
from scipy import sparse

from pipeline.dataset import group_bootstrap, near_duplicates
from pipeline.evaluate.scores import Counts, Scores

MIN_CAMERAS = 10  # of fewer one cannot tell how much cameras differ
Interval = tuple[np.ndarray, np.ndarray]


def units_of(pictures: pd.DataFrame) -> tuple[str, np.ndarray]:
    """Decides which photos are drawn together.

    Args:
        pictures: With columns group and location (null where it is not known).

    Returns:
        `location` for cameras, with what shares a group with them, or `group` where cameras are
        few; and the unit of each photo, int (n,).
    """
    if pictures["location"].nunique() < MIN_CAMERAS:
        return "group", pictures["group"].factorize()[0]
    return "location", near_duplicates.linked(pictures["group"], pictures["location"])


def intervals(
    scores: Scores, units: np.ndarray, draws: int = group_bootstrap.DRAWS
) -> tuple[dict[str, tuple[float, float]], dict[str, Interval]]:
    """Computes the intervals of all scores by a bootstrap over units.

    Where all of a few photos are right that is in part chance, and a test of some hundred photos
    has met few of the mistakes that a network makes. So half a unit of each outcome is added to the
    draws: to those of precision, recall and F1 as in Goutte & Gaussier 2005, A Probabilistic
    Interpretation of Precision, Recall and F-Score, to those of an average precision half a unit
    ranked first and half a unit ranked last, to those of a loss half a unit of the largest and half
    a unit of the smallest. Means over species and losses are moved back to where they were, for
    what is added would move them all one way. bench/intervals.py shows how often they hold.

    Args:
        scores: The answers.
        units: What is drawn together, of each photo, int (n,).
        draws: How many draws. Defaults to 2000.

    Returns:
        Lower and upper end of each score of all photos, by name; and of each species' precision,
        recall, f1 and average_precision, (species,), NaN for a species without a photo.
    """
    parts = []
    for weights in group_bootstrap.weights(units, draws):
        counts = scores.counts(weights)
        parts.append(
            {"average_precision": scores.average_precision(weights)}
            | {name: getattr(counts, name) for name in ("hits", "actual", "predicted")}
            | {name: values[None] for name, values in scores.means(weights).items()}
        )
    drawn = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    counts = Counts(*(drawn.pop(name) for name in ("hits", "actual", "predicted")))
    wider = _widened(scores, units, counts)
    species = _of_species(scores, counts, wider, drawn.pop("average_precision"))
    overall = _shares(scores, units, draws)
    overall |= _losses(scores, units, drawn, counts.actual.sum(axis=0))
    overall |= _species_means(scores, wider)
    return {name: (low.item(), high.item()) for name, (low, high) in overall.items()}, species


def _shares(scores: Scores, units: np.ndarray, draws: int) -> dict[str, Interval]:
    names = ("accuracy", "top3", "top5")
    trials = np.ones((len(names), scores.photos))
    ends = group_bootstrap.proportion(scores.values(*names), trials, units, draws)
    return dict(zip(names, zip(*ends, strict=True), strict=True))


def _losses(
    scores: Scores, units: np.ndarray, drawn: dict[str, np.ndarray], weight: np.ndarray
) -> dict[str, Interval]:
    """Computes the intervals of mean losses, as `drawn`: (1, draws), by name.

    `weight` is what all photos weighed together in each draw, (draws,).
    """
    size = [scores.photos / len(np.unique(units))]
    (largest,), (smallest,) = group_bootstrap.half_groups(size, len(weight))
    recentred = {}
    for name in ("log_loss", "brier"):
        (values,), estimate = scores.values(name), scores.means(scores.once)[name]
        added = drawn[name] * weight + largest * values.max() + smallest * values.min()
        recentred[name] = _recentred(added / (weight + largest + smallest), estimate, np.inf)
    return recentred


def _species_means(scores: Scores, wider: Counts) -> dict[str, Interval]:
    """Computes the intervals of means over species, of counts as `_widened` returns them."""
    photos = scores.actual.sum(axis=1)
    photos = photos[photos > 1]
    # Weights of n photos spread less than n other photos would: by (n - 1) / (n + 1).
    spread = np.sqrt(((photos + 1) / (photos - 1)).mean()) if len(photos) else 1.0
    drawn = scores.species_means(wider)
    estimates = scores.species_means(scores.counts(scores.once))
    return {
        name: _recentred(values[None] * spread, estimates[name], 1)
        for name, values in drawn.items()
    }


def _recentred(drawn: np.ndarray, estimate: np.ndarray, most: float) -> Interval:
    """Returns the interval of draws that are moved so that their mean is the estimate."""
    low, high = group_bootstrap.interval(drawn - drawn.mean() + estimate, estimate)
    return low.clip(0, most), high.clip(0, most)


def _widened(scores: Scores, units: np.ndarray, counts: Counts) -> Counts:
    """Adds half a unit of hits, of photos missed and of photos wrongly named so to each species."""
    draws = counts.hits.shape[1]
    size, named = (_unit_sizes(table, units) for table in (scores.actual, scores.predicted))
    hit, missed = group_bootstrap.half_groups(size, draws)
    *_, wrong = group_bootstrap.half_groups(named, draws, kinds=3)
    return Counts(counts.hits + hit, counts.actual + hit + missed, counts.predicted + hit + wrong)


def _of_species(
    scores: Scores, counts: Counts, wider: Counts, average_precision: np.ndarray
) -> dict[str, Interval]:
    """Computes the intervals of each species' scores, of counts and precisions as drawn."""
    once = scores.counts(scores.once)
    hit = wider.hits - counts.hits
    missed = wider.actual - counts.actual - hit
    at_last_rank = counts.actual / counts.actual.sum(axis=0)
    ranked = average_precision * counts.actual + hit + missed * at_last_rank
    drawn = {
        "precision": (wider.precision, once.precision),
        "recall": (wider.recall, once.recall),
        "f1": (wider.f1, once.f1),
        "average_precision": (ranked / wider.actual, scores.average_precision(scores.once)),
    }
    occurs = once.actual > 0
    return {
        name: group_bootstrap.interval(np.where(occurs, values, np.nan), estimate[:, 0])
        for name, (values, estimate) in drawn.items()
    }


def _unit_sizes(table: sparse.csr_array, units: np.ndarray) -> np.ndarray:
    """Returns how many photos of each row of an indicator are in a unit on average, or 1."""
    rows, photos = table.nonzero()
    pairs = np.unique(np.stack([rows, units[photos]]), axis=1)
    number = np.bincount(pairs[0], minlength=table.shape[0])
    return np.where(number, table.sum(axis=1) / np.maximum(number, 1), 1)
