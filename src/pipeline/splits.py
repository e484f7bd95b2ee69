"""Which photos to learn from, which to choose by, and which to be tested on."""

import hashlib

import numpy as np
import pandas as pd

from pipeline import duplicates
from pipeline.errors import UserError

SPLITS = ("train", "validation", "test")
_SLACK = 0.02


def assign(manifest: pd.DataFrame, train: float, validation: float, seed: int) -> pd.Series:
    """Splits photos by content: groups stay together, species keep their shares.

    Each group has a fixed place in [0, 1), the hash of its name and the seed, and the places below
    `train` are the training split, and so on. Places alone would leave the shares of a small
    species to chance, so a group's place may differ from its rank among the groups of its species
    by at most 0.02. Chance decides inside that slack, and there other photos that come or go move
    nothing.

    Args:
        manifest: With columns photo, species and group.
        train: Share of the training split, 0 to 1.
        validation: Share of the validation split; the rest is for the test.
        seed: Another seed gives another split.

    Returns:
        For each row `train`, `validation` or `test`. A species of at least
        three groups of its own is in all; groups of several species go with the most common.
    """
    counts = manifest.groupby(["group", "species"]).size().reset_index(name="photos")
    counts = counts.sort_values(["photos", "species"], ascending=[False, True])
    groups = counts.groupby("group").agg(species=("species", "first"), photos=("photos", "sum"))
    groups["place"] = [_place(seed, group) for group in groups.index]
    groups = groups.sort_values("place")
    split = pd.Series(index=groups.index, dtype="str")
    for _, rows in groups.groupby("species"):
        rank = (rows["photos"].cumsum() - rows["photos"] / 2) / rows["photos"].sum()
        place = rows["place"].clip(rank - _SLACK, rank + _SLACK)
        number = np.searchsorted([train, train + validation], place, side="right")
        # Whatever the shares: a species is trained, tested if it can be, then validated.
        number[0] = 0
        if len(rows) > 1:
            number[-1] = 2
        if len(rows) > 2 and 1 not in number:
            number[-2] = 1
        split[rows.index] = np.array(SPLITS)[number]
    return manifest["group"].map(split).rename("split")


def require(table: pd.DataFrame) -> None:
    """Stops a run on a split that cannot be learned from.

    Raises:
        UserError: A species has no training photos, or a split has none at all; names them.
    """
    counts = pd.crosstab(table["species"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    if empty := [name for name in SPLITS if not counts[name].sum()]:
        names = " and ".join(empty)
        raise UserError(f"no photos are left for {names}; raise its share, or add photos")
    if untrained := list(counts.index[counts["train"] == 0]):
        raise UserError(
            f"no training photos of {', '.join(untrained)}: all are near-duplicates of another "
            "species' photos; remove those or lower ingest.near_duplicate_bits"
        )


def leaks(hashes: np.ndarray, split: pd.Series, bits: int) -> int:
    """Counts pairs of near-duplicates that stand in different splits, apart from any grouping.

    Args:
        hashes: pHash of each photo, uint64 (n,).
        split: Split of each photo.
        bits: Pictures whose pHash differs in at most so many bits are near-duplicates.
    """
    table = pd.crosstab(np.asarray(hashes, dtype=np.uint64), split.to_numpy()).sort_index()
    counts = table.to_numpy()
    left, right = duplicates.close_pairs(table.index.to_numpy(dtype=np.uint64), bits).T
    total = counts.sum(axis=1)
    near = total[left] * total[right] - (counts[left] * counts[right]).sum(axis=1)
    equal = (total**2 - (counts**2).sum(axis=1)) // 2
    return int(near.sum() + equal.sum())


def count(table: pd.DataFrame) -> pd.DataFrame:
    """Photos of each species in each split, and the splits' shares."""
    counts = pd.crosstab(table["species"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    counts.loc["(all)"] = counts.sum()
    shares = counts.div(counts.sum(axis=1), axis=0).round(3).add_suffix("_share")
    return pd.concat([counts, shares], axis=1).rename_axis("species").reset_index()


def _place(seed: int, group: str) -> float:
    digest = hashlib.sha256(f"{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
