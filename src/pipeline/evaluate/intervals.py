"""Puts an interval around each score: what other photos of the same kind could have made of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.dataset import group_bootstrap, near_duplicates
from pipeline.evaluate.scores import Counts, Scores

MIN_CAMERAS = 10  # of fewer one cannot tell how much cameras differ
Interval = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Units:
    """What photos are drawn together.

    Attributes:
        by: `location` or `group`.
        of: The unit of each photo, int (n,).
    """

    by: str
    of: np.ndarray

    @classmethod
    def among(cls, pictures: pd.DataFrame) -> "Units":
        """Returns cameras, with what shares a group with them, or groups where cameras are few.

        Args:
            pictures: With columns group and location (null where it is not known).
        """
        if pictures["location"].nunique() < MIN_CAMERAS:
            return cls("group", pictures["group"].factorize()[0])
        return cls("location", near_duplicates.linked(pictures["group"], pictures["location"]))

    @property
    def number(self) -> int:
        """How many there are."""
        return len(np.unique(self.of))


def intervals(
    scores: Scores, units: np.ndarray, draws: int = group_bootstrap.DRAWS
) -> tuple[dict[str, tuple[float, float]], dict[str, Interval]]:
    """Computes the intervals of all scores by a bootstrap over units.

    Where all of a few photos are right that is in part chance. So half a unit of each outcome is
    added to the draws of shares, to those of precision, recall and F1 as in Goutte & Gaussier 2005,
    A Probabilistic Interpretation of Precision, Recall and F-Score, and to those of an average
    precision half a unit ranked first and half a unit ranked last. Means over species are drawn
    without, for what is added to each of them would add up.

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
    species = _of_species(scores, units, counts, drawn.pop("average_precision"))
    drawn |= {name: values[None] for name, values in scores.species_means(counts).items()}
    estimates = scores.means(scores.once) | scores.species_means(scores.counts(scores.once))
    overall = {
        name: group_bootstrap.interval(values, estimates[name]) for name, values in drawn.items()
    }
    shares = ("accuracy", "top3", "top5")
    trials = np.ones((len(shares), scores.photos))
    ends = group_bootstrap.proportion(scores.values(*shares), trials, units, draws)
    overall |= dict(zip(shares, zip(*ends, strict=True), strict=True))
    return {name: (low.item(), high.item()) for name, (low, high) in overall.items()}, species


def _of_species(
    scores: Scores, units: np.ndarray, counts: Counts, average_precision: np.ndarray
) -> dict[str, Interval]:
    """Computes the intervals of each species' scores.

    Args:
        scores: The answers.
        units: What is drawn together, int (n,).
        counts: As drawn.
        average_precision: As drawn, (species, draws).
    """
    draws, once = counts.hits.shape[1], scores.counts(scores.once)
    size, named = (_unit_sizes(table, units) for table in (scores.actual, scores.predicted))
    hit, missed = group_bootstrap.half_groups(size, draws)
    *_, wrong = group_bootstrap.half_groups(named, draws, kinds=3)
    wider = Counts(counts.hits + hit, counts.actual + hit + missed, counts.predicted + hit + wrong)
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


def _unit_sizes(table: "np.ndarray", units: np.ndarray) -> np.ndarray:
    """Returns how many photos of each row of an indicator are in a unit on average, or 1."""
    rows, photos = table.nonzero()
    pairs = np.unique(np.stack([rows, units[photos]]), axis=1)
    number = np.bincount(pairs[0], minlength=table.shape[0])
    return np.where(number, table.sum(axis=1) / np.maximum(number, 1), 1)
