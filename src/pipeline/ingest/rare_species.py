"""Leaves out what has too few photos to be split, or pools such species into one class."""

from typing import Literal

import pandas as pd

from pipeline.inference.pooling import BLANK

OTHER = "other"


def settle(
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    least: int,
    rare: Literal["stop", "drop", "pool"],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Leaves out or pools the photos of rare species; few photos of nothing are left out always.

    Args:
        manifest: The accepted photos.
        quarantine: The refused files: path, species, reason, detail.
        least: `ingest.min_per_species`; a species with fewer accepted photos is rare.
        rare: `ingest.rare`. With `stop` no animal's photo is left out.

    Returns:
        The manifest and the quarantine, and how many photos each rare species had. Dropped photos
        are quarantined as `rare`, those of nothing as `blank`; pooled ones are of the species
        `other`, with any photos that had this name before.
    """
    blank = manifest["species"] == BLANK
    if 0 < blank.sum() < least:
        detail = f"{blank.sum()} such photos, ingest.min_per_species is {least}"
        dropped = manifest[blank].assign(species=None, reason=BLANK, detail=detail)
        manifest, quarantine = _left_out(dropped, manifest, quarantine)
    counts = manifest["species"].value_counts()
    names = sorted({*counts.index, *quarantine["species"].dropna()})
    counts = counts.reindex(names, fill_value=0)
    counts = counts[counts < least]
    counts = counts[counts.index != OTHER] if rare == "pool" else counts
    if rare == "stop" or counts.empty:
        return manifest, quarantine, counts.iloc[:0]
    few = manifest["species"].isin(counts.index)
    if rare == "pool":
        return manifest.assign(species=manifest["species"].mask(few, OTHER)), quarantine, counts
    dropped = manifest[few].assign(reason="rare")
    dropped["detail"] = [
        f"{counts[name]} good photos, ingest.min_per_species is {least}"
        for name in dropped["species"]
    ]
    return *_left_out(dropped, manifest, quarantine), counts


def _left_out(
    dropped: pd.DataFrame, manifest: pd.DataFrame, quarantine: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the manifest without some of its rows, and the quarantine with them."""
    quarantine = pd.concat([quarantine, dropped[list(quarantine.columns)]], ignore_index=True)
    remaining = manifest.drop(index=dropped.index).reset_index(drop=True)
    return remaining, quarantine.sort_values("path", ignore_index=True)
