"""Sums up what ingest says of a collection, for the page; its report has the rest."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

_REPORT = Path("reports/ingest")
_MAX_UNUSED = 5  # files that may be metadata and were not used


def read(source: str, least: int) -> dict[str, Any] | None:
    """Reads the report of ingest, also of a run that ingest itself stopped.

    Args:
        source: The collection that is chosen now, `ingest.source`.
        least: Photos that a species needs, `ingest.min_per_species`.

    Returns:
        `form` (class_folders, tables, archive, archive_of_tables, recipe), what the collection was
        taken for; `tables`, the files that name the species; `species`, each with its number of
        accepted photos, the most first; `refused`, for each reason the number of files and the
        path of one, the most first; `unused`, files that may be metadata, with the reason why they
        were not used; `least`. None where ingest has not looked through this collection.
    """
    try:
        described = json.loads((_REPORT / "source.json").read_text(encoding="utf-8"))
        if described["source"] != source:
            return None
        counts = pd.read_csv(_REPORT / "counts.csv", dtype={"species": str}, keep_default_na=False)
        refused = pd.read_csv(_REPORT / "quarantine.csv", dtype=str, keep_default_na=False)
        metadata = pd.read_csv(_REPORT / "metadata.csv", dtype=str, keep_default_na=False)
    except (OSError, ValueError, KeyError):  # not written yet, or being written
        return None
    species = counts[counts["accepted"] > 0].sort_values("accepted", ascending=False, kind="stable")
    reasons = refused.groupby("reason", sort=False)["path"].agg(["size", "first"])
    reasons = reasons.sort_values("size", ascending=False, kind="stable")
    unused = metadata[metadata["used_for"] == ""].head(_MAX_UNUSED)
    return {
        "form": described["form"],
        "tables": described["tables"],
        "species": [[name, int(n)] for name, n in species[["species", "accepted"]].to_numpy()],
        "refused": [
            {"reason": reason, "files": int(files), "example": example}
            for reason, files, example in reasons.itertuples()
        ],
        "unused": [{"file": row.file, "why": row.why_not} for row in unused.itertuples()],
        "least": least,
    }
