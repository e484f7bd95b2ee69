"""Deals photos out in fixed shares: units stay whole, and species keep their shares."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

TOLERANCE = 0.05  # of a species' photos: with many units, places miss by up to 4 %
_NUMBERS = 2 * 10**7  # to compare in a round, a second's work; with more, fewer moves are tried


def deal(units: pd.Series, species: pd.Series, shares: Sequence[float], seed: int) -> np.ndarray:
    """Deals whole units out to parts.

    Greedy, as scikit-learn's `StratifiedGroupKFold`: the largest units first, each to the part
    whose lack of photos then is the least, squared and relative to what the part is to hold of each
    species. That works for parts of any size, and for folds it comes nearer to the shares
    (tests/dataset/test_stratified_groups.py).

    Args:
        units: The unit of each photo.
        species: The species of each photo.
        shares: Of the parts, above 0 and summing to 1.
        seed: Decides between units of one size.

    Returns:
        The part of each photo, int (n,). Whatever the shares, a species is in the first part, in
        the last if it has two units, and in all if it has enough of its own.
    """
    unit, names = pd.factorize(units)
    kind, _ = pd.factorize(species, sort=True)
    counts = pd.DataFrame({"unit": unit, "kind": kind}).value_counts().reset_index(name="photos")
    counts = counts.sort_values(["unit", "kind"])
    borders = np.flatnonzero(np.diff(counts["unit"])) + 1
    kinds_of = np.split(counts["kind"].to_numpy(), borders)
    photos_of = np.split(counts["photos"].to_numpy(), borders)
    units_left = np.bincount(counts["kind"])
    wanted = np.outer(shares, np.bincount(kind))
    lack = wanted.copy()
    absent = np.ones(wanted.shape, dtype=bool)
    important = [0, *range(len(shares) - 1, 0, -1)]
    parts = np.empty(len(names), dtype=np.int64)
    places = [place(seed, name) for name in names]
    for number in np.lexsort((places, -np.bincount(unit))):
        kinds, photos = kinds_of[number], photos_of[number]
        due = kinds[units_left[kinds] <= absent[:, kinds].sum(axis=0)]
        if len(due):
            part = next(part for part in important if absent[part, due].any())
        else:
            before = lack[:, kinds]
            cost = ((before - photos) ** 2 - before**2) / wanted[:, kinds]
            part = cost.sum(axis=1).round(6).argmin()
        parts[number] = part
        lack[part, kinds] -= photos
        absent[part, kinds] = False
        units_left[kinds] -= 1
    return parts[unit]


def place(seed: int, name: str) -> float:
    """Returns a fixed place in [0, 1) for a name: its hash with the seed."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def settle(
    units: pd.Series,
    species: pd.Series,
    shares: Sequence[float] | np.ndarray,
    seed: int,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Assigns whole units to parts so that each species comes as near to its shares as can be.

    Several starts are improved by `_descend`, and the best of them is taken, the first of equals.
    The result depends neither on the order of the photos nor on the machine.

    Args:
        units: The unit of each photo.
        species: The species of each photo.
        shares: Of the parts, above 0 and summing to 1.
        seed: Another seed gives another assignment; `deal` makes one of the starts from it.
        start: The part of each photo, int (n,), to start from. Species of which at most 5 % would
            have to move for their shares, and that no part lacks without need, stay as they are
            there. Defaults to none: all units may move.

    Returns:
        The part of each photo, int (n,). A species of at least as many units as there are parts is
        in all of them as far as its units' other species allow, one of fewer in the first part,
        then in the last.
    """
    unit, names = pd.factorize(units)
    kind, _ = pd.factorize(species, sort=True)
    wanted = np.outer(shares, np.bincount(kind))
    free = np.ones(len(names), dtype=bool)
    dealt = np.zeros(len(unit), dtype=np.int64)
    if start is not None:
        free[:] = False
        free[unit[np.isin(kind, _missing(unit, kind, start, wanted))]] = True
        dealt[:] = start
    if not free.any():
        return dealt
    loose = free[unit]
    dealt[loose] = deal(units[loose], species[loose], shares, seed)
    # Units that stay count as far as they hold species of those that may move.
    played = np.unique(kind[loose])
    seats = np.unique(unit[np.isin(kind, played)])
    if len(seats) * len(played) > _NUMBERS:
        return dealt
    seats = seats[np.argsort([place(seed, names[seat]) for seat in seats], kind="stable")]
    counts = pd.crosstab(unit, kind).reindex(index=seats, columns=played).to_numpy()
    photo_of = pd.Series(range(len(unit)), unit).groupby(level=0).first().to_numpy()[seats]
    starts = [dealt[photo_of], np.where(free[seats], 0, dealt[photo_of])]
    if start is not None:
        starts.insert(0, start[photo_of])
    costs = _Costs(wanted[:, played])
    ends = [_descend(counts, part, costs, free[seats]) for part in starts]
    parts = np.zeros(len(names), dtype=np.int64)
    parts[seats] = min(ends, key=lambda part: round(costs.total(counts, part), 6))
    return np.where(loose, parts[unit], dealt)


def _missing(
    unit: np.ndarray, kind: np.ndarray, part: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Returns species that miss their shares by over 5 %, or that a part lacks without need."""
    held = np.stack(
        [np.bincount(kind[part == p], minlength=wanted.shape[1]) for p in range(len(wanted))]
    )
    missed = np.abs(held - wanted).sum(axis=0) / 2 > TOLERANCE * wanted.sum(axis=0)
    pairs = pd.DataFrame({"unit": unit, "kind": kind}).drop_duplicates()
    enough = np.bincount(pairs["kind"]) >= len(wanted)
    return np.flatnonzero(missed | (enough & (held == 0).any(axis=0)))


class _Costs:
    """The cost of the photos that a part holds of each species and in all.

    In this order: that species are lacking in the first part, the last, and any other; the photos
    that stand in another part than their species' shares want; how uneven that leaves the parts.

    Args:
        wanted: Photos of each species that each part is to hold, (parts, species).
    """

    def __init__(self, wanted: np.ndarray):
        photos = wanted.sum()
        self.parts = len(wanted)
        self._wanted = self.with_total(wanted)
        self._tie = 0.02 / photos**2  # all of it is less than a photo of a species counts
        importance = np.ones(len(wanted))
        importance[-1], importance[0] = 2, 4
        self._lacking = 4 * photos * importance

    @staticmethod
    def with_total(counts: np.ndarray) -> np.ndarray:
        """Adds a column for all species together."""
        return np.hstack([counts, counts.sum(axis=1, keepdims=True)])

    def of(self, held: np.ndarray, part: np.ndarray | int) -> np.ndarray:
        """Returns the cost of what a part holds of each species and in all, (..., species + 1)."""
        apart = np.abs(held - self._wanted[part])
        missed = apart[..., :-1].sum(axis=-1) + apart[..., -1] ** 2 * self._tie
        return missed + (held[..., :-1] == 0).sum(axis=-1) * self._lacking[part]

    def held(self, counts: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Counts what each part holds of each species and in all, (parts, species + 1)."""
        counts = self.with_total(counts)
        return np.stack([counts[part == number].sum(axis=0) for number in range(self.parts)])

    def total(self, counts: np.ndarray, part: np.ndarray) -> float:
        """Returns the cost of an assignment."""
        return float(self.of(self.held(counts, part), np.arange(self.parts)).sum())


def _descend(counts: np.ndarray, part: np.ndarray, costs: _Costs, free: np.ndarray) -> np.ndarray:
    """Moves single units, and swaps two, as long as that lowers the cost.

    Args:
        counts: Photos of each species in each unit, int (units, species). The rows' order decides
            between equals.
        part: The part of each unit to start from, int (units,).
        costs: The cost to lower.
        free: Whether each unit may move, bool (units,).

    Returns:
        The part of each unit, int (units,).
    """
    part, movable, held = part.copy(), np.flatnonzero(free), costs.held(counts, part)
    counts = costs.with_total(counts)
    swappable = movable if len(movable) ** 2 * counts.shape[1] <= _NUMBERS else movable[:0]
    is_better = True
    while is_better:
        is_better = False
        for unit in movable:
            here = part[unit]
            targets = np.delete(np.arange(costs.parts), here)
            partners = swappable[part[swappable] != here]
            there = np.concatenate([targets, part[partners]])
            leaving = np.tile(counts[unit], (len(there), 1))
            leaving[len(targets) :] -= counts[partners]
            change = costs.of(held[here] - leaving, here) + costs.of(held[there] + leaving, there)
            change -= costs.of(held[here], here) + costs.of(held[there], there)
            best = change.round(9).argmin()
            if change[best] > -1e-9:
                continue
            held[here] -= leaving[best]
            held[there[best]] += leaving[best]
            part[unit] = there[best]
            if best >= len(targets):
                part[partners[best - len(targets)]] = here
            is_better = True
    return part
