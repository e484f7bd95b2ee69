"""Adds reviewed photos to a collection, and lets people's decisions correct its labels."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import annotations
from pipeline.sources.feedback import Feedback, Settled


def listed(
    feedback: Path, root: Path, like: pd.DataFrame, labels: Mapping[str, str | None], least: int
) -> pd.DataFrame:
    """Lists the photos of a feedback folder as files of the collection.

    Args:
        feedback: The folder.
        root: The folder that the collection's paths start from.
        like: The collection's files (`reader.Collection.files`), whose columns the rows get.
        labels: `ingest.labels`.
        least: `ingest.min_per_species`. A species that people alone name, of fewer photos, waits
            until there are so many, for one photo of it must not stop a run.

    Returns:
        A row a photo, with `origin` too: those on which people disagree, that they call bad, or of
        whose species there are too few so far have a reason.

    Raises:
        UserError: The folder lies in the collection, which would be read twice then.
    """
    if feedback.resolve().is_relative_to(root.resolve()):
        raise UserError(f"ingest.feedback {feedback} lies in the collection: move it elsewhere")
    known = set(like["species"].dropna())
    settled = Feedback(feedback).settled().values()
    decided = [_verdict(one, labels) for one in settled]
    counts = Counter(one["species"] for one in decided)
    rows = []
    for one, row in zip(settled, decided, strict=True):
        number = counts[row["species"]]
        if row["reason"] is None and row["species"] not in known and number < least:
            row["reason"] = "too_few_yet"
            row["detail"] = f"{number} {row['species']} so far, ingest.min_per_species is {least}"
            row["species"] = None  # or it would be one of the species that are to be learned
        path = Path(os.path.relpath(feedback / one.file, root)).as_posix()
        more = {"path": path, "other_sides": False, "licence": "unknown", "origin": "people"}
        rows.append(row | more)
    frame = pd.DataFrame(rows, columns=[*like.columns, "origin"])
    return frame.astype(like.dtypes)


def apply(
    inspected: pd.DataFrame, feedback: Path, own: pd.Index, labels: Mapping[str, str | None]
) -> pd.DataFrame:
    """Gives photos of the collection the labels that people decided on.

    The collection's own row stays the one that is learned from, for it knows place and time.

    Args:
        inspected: A row a file, from `manifest.inspect`.
        feedback: The folder.
        own: Which of the rows `listed` gave.
        labels: `ingest.labels`.

    Returns:
        The same rows; those of photos that people corrected have their species or reason, and the
        feedback's own copies of them are exact duplicates.
    """
    if not len(own):
        return inspected
    rows, is_own = inspected.copy(), inspected.index.isin(own)
    settled = {photo: one for photo, one in Feedback(feedback).settled().items() if one.by}
    same = ~is_own & rows["photo"].isin(list(settled)) & rows["reason"].isna()
    for at, photo in rows.loc[same, "photo"].items():
        verdict = _verdict(settled[photo], labels)
        if verdict["species"] is None:
            del verdict["species"]  # a photo that is refused stays counted where it stood
        elif verdict["species"] != rows.at[at, "species"]:
            rows.loc[at, annotations.RANKS] = None
        rows.loc[at, list(verdict)] = list(verdict.values())
    copies = is_own & rows["photo"].isin(rows.loc[same, "photo"]) & rows["reason"].isna()
    rows.loc[copies, "reason"] = "exact_duplicate"
    rows.loc[copies, "detail"] = "the same file as one of the collection"
    return rows


def _verdict(one: Settled, labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """Returns species, reason and detail of a photo."""
    species = labels.get(one.species, one.species) if one.species else None
    reason = detail = None
    if one.disputed:
        reason, detail = "people_disagree", one.describe()
    elif not one.by:
        reason, detail = "withdrawn", "every decision on it was withdrawn"
    elif one.verdict == "bad_photo":
        reason, detail = "bad_photo", one.describe()
    elif species is None:
        reason = "unwanted"
    return {"species": species, "reason": reason, "detail": detail}
