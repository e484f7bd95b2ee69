"""Reports what a split is like: sizes, leaks and what was left out."""

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.dataset import near_duplicates, stratified_groups
from pipeline.split.assignment import SPLITS


def balance(table: pd.DataFrame, train: float, validation: float) -> pd.DataFrame:
    """How near the species come to the shares asked for, against the nearest there is.

    Args:
        table: With columns species, unit and split.
        train: As for `assign`.
        validation: As for `assign`.

    Returns:
        A row for each species and split: species, split, photos, wanted (share of the species'
        photos) and best, the number nearest to it that any whole units add up to. `best` is a
        bound and not always to be had: it lets a unit of several species go a different way for
        each, and each split choose for itself.
    """
    shares = dict(zip(SPLITS, (train, validation, 1 - train - validation), strict=True))
    rows = []
    for name, photos in table.groupby("species"):
        sizes = photos["unit"].value_counts().to_numpy()
        for split, share in shares.items():
            wanted = round(share * len(photos), 6)
            best = stratified_groups.nearest(sizes, wanted)
            rows.append((name, split, (photos["split"] == split).sum(), wanted, best))
    return pd.DataFrame(rows, columns=["species", "split", "photos", "wanted", "best"])


def misplaced(balance: pd.DataFrame) -> str:
    """Share of photos that would have to move for each species to have the shares asked for."""
    wanted = balance["wanted"]
    reached, best = (
        (balance[column] - wanted).abs().sum() / 2 / wanted.sum() for column in ("photos", "best")
    )
    return f"{reached:.2%} (no assignment of whole groups gets below {best:.2%})"


def left_out(manifest: pd.DataFrame, split: pd.Series) -> pd.DataFrame:
    """What `assign` left out: path, species, split_hint, and the split that tests a near-duplicate.

    Args:
        manifest: As for `assign`.
        split: What it gave.
    """
    last = split.dropna().map(SPLITS.index).groupby(manifest["group"]).max().map(SPLITS.__getitem__)
    rows = manifest[split.isna()]
    table = rows[["path", "species", "split_hint"]].assign(twin_in=rows["group"].map(last))
    return table.sort_values("path")


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
    """Photos of each species in each split, and the splits' shares."""
    counts = pd.crosstab(table["species"], table["split"]).reindex(columns=SPLITS, fill_value=0)
    counts.loc["(all)"] = counts.sum()
    shares = counts.div(counts.sum(axis=1), axis=0).round(3).add_suffix("_share")
    return pd.concat([counts, shares], axis=1).rename_axis("species").reset_index()
