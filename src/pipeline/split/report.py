"""Reports what a split is like: sizes, leaks and what was left out."""

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.dataset import near_duplicates, stratified_groups
from pipeline.split.assignment import SPLITS

LEFT_OUT = {
    "twin": "as twins of photos in a later split",
    "unplaced": "for want of the location or time that split.by goes by",
}
_NAMED = 8  # species, in a line


def balance(table: pd.DataFrame, train: float, validation: float) -> pd.DataFrame:
    """Compares the species' photos in each split with their shares.

    Args:
        table: With columns species, unit and split.
        train: Share of the training split, 0 to 1.
        validation: Share of the validation split, 0 to 1.

    Returns:
        A row for each species and split: species, split, photos, wanted (share of the species'
        photos), units in the split, and units that the species has in all.
    """
    shares = dict(zip(SPLITS, (train, validation, 1 - train - validation), strict=True))
    rows = []
    for name, photos in table.groupby("species"):
        in_all = photos["unit"].nunique()
        for split, share in shares.items():
            inside = photos[photos["split"] == split]
            wanted = round(share * len(photos), 6)
            rows.append((name, split, len(inside), wanted, inside["unit"].nunique(), in_all))
    columns = ["species", "split", "photos", "wanted", "units", "units_in_all"]
    return pd.DataFrame(rows, columns=columns)


def shortfalls(balance: pd.DataFrame) -> str:
    """Reports how far photos are from their shares, for which species most, and what is missing.

    Args:
        balance: A row for each species and split, from `balance`.
    """
    table = balance.assign(off=(balance["photos"] - balance["wanted"]).abs() / 2)
    all_off = table["off"].sum() / table["wanted"].sum()
    lines = [f"photos off their split's share: {all_off:.1%}"]
    by = table.groupby("species")
    units, off = by["units_in_all"].first(), by["off"].sum() / by["wanted"].sum()
    far = off[off > stratified_groups.TOLERANCE].sort_values(ascending=False, kind="stable")
    if len(far):
        named = [f"{name} {off:.0%} (of {units[name]})" for name, off in far.items()]
        lines.append(
            f"  groups and cameras are not divided, so these are far off: {_listed(named)}"
        )
    for split in SPLITS:
        rows = table[(table["split"] == split) & (table["photos"] == 0)]
        if len(rows):
            named = [f"{name} (of {units[name]})" for name in rows["species"]]
            lines.append(f"  {split} has no photos of: {_listed(named)}")
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def left_out(manifest: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """Lists the photos that `assign` left out, and why.

    Args:
        manifest: With columns path, species, split_hint and group.
        split: The split of each photo; null for one that was left out.

    Returns:
        path, species, split_hint, twin_in (the split that tests a near-duplicate) and reason, one
        of `LEFT_OUT`. Sorted by path.
    """
    last = split.dropna().map(SPLITS.index).groupby(manifest["group"]).max().map(SPLITS.__getitem__)
    rows = manifest[split.isna()].reindex(columns=["path", "species", "split_hint", "group"])
    twin = rows.pop("group").map(last).astype("str")
    reason = np.where(twin.isna(), "unplaced", "twin")
    return rows.assign(twin_in=twin, reason=reason).sort_values("path")


def require(table: pd.DataFrame) -> None:
    """Stops a run on a split that cannot be learned from.

    Raises:
        UserError: A species has no training photos, or a split has none at all; names them.
    """
    counts = pd.crosstab(table["species"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    if empty := [name for name in SPLITS if not counts[name].sum()]:
        names = " and ".join(empty)
        raise UserError(
            f"no photos are left for {names}; raise its share, add photos, or have a collection "
            "that came split be split anew (split.respect_given: false)"
        )
    if untrained := list(counts.index[counts["train"] == 0]):
        raise UserError(
            f"no training photos of {', '.join(untrained)}: all must stay together with photos "
            "that are validated or tested by, or the collection's own split or the order in time "
            "leaves none. Remove the species, lower ingest.near_duplicate_bits, or change split.by "
            "or split.respect_given"
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
    total = counts.sum(axis=1)
    pairs = ((total**2 - (counts**2).sum(axis=1)) // 2).sum()  # of equal hashes
    for left, right in map(np.transpose, near_duplicates.close_pairs(table.index.to_numpy(), bits)):
        pairs += (total[left] * total[right] - (counts[left] * counts[right]).sum(axis=1)).sum()
    return int(pairs)


def count(table: pd.DataFrame) -> pd.DataFrame:
    """Counts photos of each species in each split, and computes the splits' shares."""
    counts = pd.crosstab(table["species"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    counts.loc["(all)"] = counts.sum()
    shares = counts.div(counts.sum(axis=1), axis=0).round(3).add_suffix("_share")
    return pd.concat([counts, shares], axis=1).rename_axis("species").reset_index()
