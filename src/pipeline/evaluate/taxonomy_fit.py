"""Fits how sure a taxon must be, and measures how often the species became a genus or more."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.inference.taxonomy import RANKS, Taxonomy

RIGHT = 0.95  # share of photos whose answer shall not be wrong
_GRID = np.arange(0.2, 1.0, 0.005)


def names(manifest: pd.DataFrame, labels: tuple[str, ...]) -> dict[str, list[str]] | None:
    """Reads the ranks of each species from the manifest.

    Args:
        manifest: With columns species and the ranks above it.
        labels: The species, in the order of the network's answers.

    Returns:
        The names by rank, the commonest of each species; its own where none is known. None where
        no two species share a taxon, so that nothing could be rolled up.
    """
    by_rank = {"species": list(labels)}
    for rank in RANKS[1:]:
        known = manifest.dropna(subset=rank)
        commonest = known.groupby("species")[rank].agg(lambda several: several.mode().iloc[0])
        by_rank[rank] = [str(commonest.get(label, label)) for label in labels]
    shared = any(len(set(by_rank[rank])) < len(labels) for rank in RANKS[1:])
    return by_rank if shared else None


def fit(
    names: dict[str, list[str]] | None, probabilities: np.ndarray, targets: np.ndarray
) -> Taxonomy | None:
    """Fits how sure an answer must be.

    By conformal risk control (Angelopoulos et al. 2022, https://arxiv.org/abs/2208.02814): the
    lowest threshold from which on at most 5 % of such photos get a wrong answer, and to give none
    is not wrong; if no threshold reaches that, the highest. The surer an answer must be, the higher
    its rank, and the fewer are wrong.

    Args:
        names: From `names`; None makes no taxonomy.
        probabilities: Calibrated answers to photos that training held out, (n, species).
        targets: The right positions, int (n,).
    """
    if names is None:
        return None
    wrong = [_wrong(Taxonomy(names, float(least)), probabilities, targets) for least in _GRID]
    risk = (np.array(wrong) + 1) / (len(targets) + 1)
    too_low = np.flatnonzero(risk > 1 - RIGHT)
    first = min(too_low.max() + 1, len(_GRID) - 1) if len(too_low) else 0
    return Taxonomy(names, round(float(_GRID[first]), 3))


def _wrong(taxonomy: Taxonomy, probabilities: np.ndarray, targets: np.ndarray) -> int:
    rank, right = answered(taxonomy, probabilities, targets)
    return int(((rank >= 0) & ~right).sum())


def answered(
    taxonomy: Taxonomy, probabilities: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Finds at which rank photos are answered, and whether rightly.

    Args:
        taxonomy: How sure an answer must be.
        probabilities: Calibrated, (n, species).
        targets: The right positions, int (n,).

    Returns:
        The position in `RANKS`, int (n,), -1 where no answer is sure; and bool (n,).
    """
    rank, right = np.full(len(targets), -1), np.zeros(len(targets), dtype=bool)
    for position, name in enumerate(RANKS):
        taxa, summed = taxonomy.summed(probabilities, name)
        sure = (summed.max(axis=1) >= taxonomy.sure_from) & (rank < 0)
        actual = np.array(taxonomy.names[name])[targets]
        rank[sure] = position
        right[sure] = (taxa[summed.argmax(axis=1)] == actual)[sure]
    return rank, right


def tested(
    taxonomy: Taxonomy | None, probabilities: np.ndarray, targets: np.ndarray
) -> dict[str, Any]:
    """Measures the answers to test photos at each rank.

    Args:
        taxonomy: How sure an answer must be; None where species have no ranks.
        probabilities: Calibrated, (n, species).
        targets: The right positions, int (n,).

    Returns:
        The section `ranks` of `metrics.json`: sure_from; not_wrong, the share of photos whose
        answer is right or none; no_answer; and by rank accuracy (of the most probable taxon),
        answered (the share of photos that are answered at it) and right (of those; None if there
        are none). Nothing where there is no taxonomy.
    """
    if taxonomy is None:
        return {}
    rank, right = answered(taxonomy, probabilities, targets)
    section: dict[str, Any] = {
        "sure_from": taxonomy.sure_from,
        "not_wrong": float((right | (rank < 0)).mean()),
        "no_answer": float((rank < 0).mean()),
    }
    for position, name in enumerate(RANKS):
        taxa, summed = taxonomy.summed(probabilities, name)
        actual = np.array(taxonomy.names[name])[targets]
        here = right[rank == position]
        section[name] = {
            "accuracy": float((taxa[summed.argmax(axis=1)] == actual).mean()),
            "answered": float((rank == position).mean()),
            "right": float(here.mean()) if len(here) else None,
        }
    return {"ranks": section}
