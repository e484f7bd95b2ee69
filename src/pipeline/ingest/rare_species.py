"""Leaves out species with too few photos to be split, or pools them into one class."""

from typing import Literal

import pandas as pd

OTHER = "other"


def settle(
    manifest: pd.DataFrame,
    quarantine: pd.DataFrame,
    least: int,
    rare: Literal["stop", "drop", "pool"],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Leaves out or pools the photos of rare species.

    Args:
        manifest: The accepted photos.
        quarantine: The refused files: path, species, reason, detail.
        least: `ingest.min_per_species`; a species with fewer accepted photos is rare.
        rare: `ingest.rare`. With `stop` nothing is changed.

    Returns:
        The manifest and the quarantine, and how many photos each rare species had. Dropped photos
        are quarantined as `rare`; pooled ones are of the species `other`, with any photos that had
        this name before.
    """
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
    dropped = manifest.loc[few, ["path", "species"]].assign(reason="rare")
    dropped["detail"] = [
        f"{counts[name]} good photos, ingest.min_per_species is {least}"
        for name in dropped["species"]
    ]
    quarantine = pd.concat([quarantine, dropped[list(quarantine.columns)]], ignore_index=True)
    remaining = manifest[~few].reset_index(drop=True)
    return remaining, quarantine.sort_values("path", ignore_index=True), counts
