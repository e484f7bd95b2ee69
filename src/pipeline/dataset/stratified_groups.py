"""Deals photos out in fixed shares: units stay whole, and species keep their shares."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd


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
    """A fixed place in [0, 1) for a name: its hash with the seed."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def nearest(sizes: np.ndarray, wanted: float) -> int:
    """The total nearest to `wanted` that some of the `sizes` add up to, the lower of equals.

    Args:
        sizes: Whole numbers above 0, int (n,).
        wanted: From 0 to their sum.
    """
    reachable = 1  # bit i: some of the sizes add up to i
    for size, times in zip(*np.unique(sizes, return_counts=True), strict=True):
        many, left = 1, int(times)
        while left:  # so many at once, in doubling packs: any number up to `times` is a sum of them
            many = min(many, left)
            reachable |= reachable << int(size) * many
            left -= many
            many *= 2
    below = reachable & ((1 << int(wanted) + 1) - 1)
    above = reachable >> int(wanted) + 1
    lower = below.bit_length() - 1
    if not above:
        return lower
    upper = int(wanted) + 1 + (above & -above).bit_length() - 1
    return lower if wanted - lower <= upper - wanted else upper
