"""Keeps photos without an animal as a class of their own, so that a recogniser can say so."""

import pandas as pd

from pipeline.inference.pooling import BLANK
from pipeline.sources import labels


def as_species(files: pd.DataFrame) -> pd.DataFrame:
    """Gives files that show nothing the species `blank`, whatever their collection calls it.

    Args:
        files: A row a file (`reader.Collection.files`).

    Returns:
        The same rows; blank ones have no reason against them any more.
    """
    shown = files["species"][files["reason"].isna()].dropna().unique()
    named = files["species"].isin([name for name in shown if labels.kind(name) == BLANK])
    blank = (files["reason"] == BLANK) | (named & files["reason"].isna())
    return files.assign(
        species=files["species"].mask(blank, BLANK),
        reason=files["reason"].mask(blank, None),
        detail=files["detail"].mask(blank, None),
    )


def require_enough(
    manifest: pd.DataFrame, quarantine: pd.DataFrame, least: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leaves blank photos out where there are fewer than `least` to learn from.

    Args:
        manifest: The accepted photos.
        quarantine: The refused files: path, species, reason, detail.
        least: `ingest.min_per_species`.

    Returns:
        The manifest and the quarantine, where they stand as `blank`.
    """
    blank = manifest["species"] == BLANK
    if not 0 < blank.sum() < least:
        return manifest, quarantine
    dropped = manifest.loc[blank, ["path"]].assign(species=None, reason=BLANK)
    dropped["detail"] = f"{blank.sum()} such photos, ingest.min_per_species is {least}"
    quarantine = pd.concat([quarantine, dropped[list(quarantine.columns)]], ignore_index=True)
    remaining = manifest[~blank].reset_index(drop=True)
    return remaining, quarantine.sort_values("path", ignore_index=True)
