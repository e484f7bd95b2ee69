"""Fits how sure a taxon must be, and measures how often the species became a genus or more."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.inference.taxonomy import RANKS, Taxonomy

RIGHT = 0.95  # share of photos whose answer shall not be wrong
_GRID = np.arange(0.2, 1.0, 0.005).round(3)


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
    """Fits how sure an answer must be, for photos that look most like each species.

    By conformal risk control (Angelopoulos et al. 2022, https://arxiv.org/abs/2208.02814) among the
    photos that look most like a species: the lowest threshold from which on at most 5 % of them get
    a wrong answer, and to give none is not wrong; if no threshold reaches that, the highest. The
    surer an answer must be, the higher its rank, and the fewer are wrong. Over all photos together,
    many that are easily told would hide that every third leopard is called a jaguar.

    Args:
        names: From `names`; None makes no taxonomy.
        probabilities: Calibrated answers to photos that training held out, (n, species).
        targets: The right positions, int (n,).

    Returns:
        The taxonomy. Species that too few photos look like to show 5 % share the threshold that all
        photos show.
    """
    if names is None:
        return None
    sums, rights = _climbed(names, probabilities, targets)
    shared, likeliest = _least(sums, rights), probabilities.argmax(axis=1)
    sure_from = []
    for species in range(probabilities.shape[1]):
        here = likeliest == species
        is_enough = 1 / (here.sum() + 1) <= 1 - RIGHT
        sure_from.append(_least(sums[:, here], rights[:, here]) if is_enough else shared)
    return Taxonomy(names, sure_from)


def _least(sums: np.ndarray, rights: np.ndarray) -> float:
    """Returns the lowest threshold from which on few enough answers are wrong.

    Args:
        sums: The probability of the likeliest taxon at each rank, (ranks, n).
        rights: Whether that is the right one, bool (ranks, n).
    """
    wrong = []
    for least in _GRID:
        sure = sums >= least
        right = np.take_along_axis(rights, sure.argmax(axis=0)[None], axis=0)[0]
        wrong.append(int((sure.any(axis=0) & ~right).sum()))
    risk = (np.array(wrong) + 1) / (sums.shape[1] + 1)
    too_low = np.flatnonzero(risk > 1 - RIGHT)
    first = min(too_low.max() + 1, len(_GRID) - 1) if len(too_low) else 0
    return float(_GRID[first])


def _climbed(
    names: dict[str, list[str]], probabilities: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probability of the likeliest taxon at each rank, and whether it is right."""
    sums, rights = [], []
    for name in RANKS:
        taxa, summed = Taxonomy(names, 0.0).summed(probabilities, name)
        sums.append(summed.max(axis=1))
        rights.append(taxa[summed.argmax(axis=1)] == np.array(names[name])[targets])
    return np.stack(sums), np.stack(rights)


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
    sums, rights = _climbed(taxonomy.names, probabilities, targets)
    sure = sums >= taxonomy.least(probabilities)
    first, answered = sure.argmax(axis=0), sure.any(axis=0)
    right = np.take_along_axis(rights, first[None], axis=0)[0]
    return np.where(answered, first, -1), right & answered


def tested(
    taxonomy: Taxonomy | None, probabilities: np.ndarray, targets: np.ndarray
) -> dict[str, Any]:
    """Measures the answers to test photos at each rank.

    Args:
        taxonomy: How sure an answer must be; None where species have no ranks.
        probabilities: Calibrated, (n, species).
        targets: The right positions, int (n,).

    Returns:
        The section `ranks` of `metrics.json`: sure_from, by species; not_wrong, the share of photos
        whose answer is right or none; no_answer; and by rank accuracy (of the most probable taxon),
        answered (the share of photos that are answered at it) and right (of those; None if there
        are none). Nothing where there is no taxonomy.
    """
    if taxonomy is None:
        return {}
    rank, right = answered(taxonomy, probabilities, targets)
    _, rights = _climbed(taxonomy.names, probabilities, targets)
    section: dict[str, Any] = {
        "sure_from": dict(zip(taxonomy.names["species"], taxonomy.sure_from, strict=True)),
        "not_wrong": float((right | (rank < 0)).mean()),
        "no_answer": float((rank < 0).mean()),
    }
    for position, name in enumerate(RANKS):
        here = right[rank == position]
        section[name] = {
            "accuracy": float(rights[position].mean()),
            "answered": float((rank == position).mean()),
            "right": float(here.mean()) if len(here) else None,
        }
    return {"ranks": section}
