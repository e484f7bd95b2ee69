"""Adds reviewed photos to a collection, and lets people's decisions correct its labels."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import annotations
from pipeline.sources.feedback import Feedback, Settled

_NO_VERDICT = ("undecided", "withdrawn")
_COPY = "exact_duplicate"


@dataclass(frozen=True)
class Effect:
    """What people's decisions did to a collection.

    Attributes:
        relabelled: Photos of the collection by `was -> is`.
        added: Photos that only the feedback folder has, by species.
        new_species: How many of them are of species of which the collection has no photo.
        left_out: Photos of the feedback folder that are not learned from, by reason.
    """

    relabelled: pd.Series
    added: pd.Series
    new_species: int
    left_out: pd.Series

    def describe(self) -> str:
        """Returns the numbers in a sentence; empty if no decision changes anything."""
        if not len(self.relabelled) + len(self.added) + len(self.left_out):
            return ""
        new = f" ({self.new_species} of species that the collection lacked)"
        reasons = ", ".join(f"{number} {reason}" for reason, number in self.left_out.items())
        return (
            f"{self.relabelled.sum()} relabelled, "
            f"{self.added.sum()} added{new if self.new_species else ''}, "
            f"{self.left_out.sum()} left out{f' ({reasons})' if reasons else ''}"
        )


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
        A row a photo, with `origin` too; the index counts on from `like`, to follow it. Those on
        which people disagree, that they call bad, on which no decision stands, whose species
        `ingest.labels` leaves out, or of whose species there are too few so far have a reason.

    Raises:
        UserError: The folder lies in the collection, which would be read twice then; or two
            species that are learned differ in case, blanks or Unicode's form alone.
    """
    if feedback.resolve().is_relative_to(root.resolve()):
        raise UserError(f"ingest.feedback {feedback} lies in the collection: move it elsewhere")
    known = set(like["species"].dropna())
    store, labels = Feedback(feedback), annotations.normalised(labels)
    decided = {one.file: _verdict(one, labels) for one in store.settled().values()}
    counts = Counter(one["species"] for one in decided.values())
    undecided = {"species": None, "reason": "undecided", "detail": "there is no decision on it"}
    rows = []
    for file, row in (decided | {file: undecided for file in store.undecided()}).items():
        number = counts[row["species"]]
        if row["reason"] is None and row["species"] not in known and number < least:
            row["reason"] = "too_few_yet"
            row["detail"] = f"{number} {row['species']} so far, ingest.min_per_species is {least}"
            row["species"] = None  # or it would be one of the species that are to be learned
        path = Path(os.path.relpath(feedback / file, root)).as_posix()
        more = {"path": path, "other_sides": False, "licence": "unknown", "origin": "people"}
        rows.append(row | more)
    learned = like.loc[like["reason"].isna(), "species"].dropna()
    people = {row["species"] for row in rows if row["reason"] is None}
    annotations.require_distinct({*learned, *people})
    frame = pd.DataFrame(rows, columns=[*like.columns, "origin"]).astype(like.dtypes)
    return frame.set_axis(np.arange(len(frame)) + len(like))


def apply(inspected: pd.DataFrame, decided: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Gives photos of the collection the labels that people decided on.

    The collection's own row stays the one that is learned from, for it knows place and time.

    Args:
        inspected: A row a file, from `manifest.inspect`, those of `decided` among them.
        decided: From `listed`, with the index that its rows have in `inspected`.

    Returns:
        The same rows; those of photos that people corrected have their species or reason, and the
        feedback's own copies of them are exact duplicates. And how many photos of the collection
        have another species now, by `was -> is`.
    """
    rows, from_feedback = inspected.copy(), inspected.index.isin(decided.index)
    verdicts = decided[~decided["reason"].isin(_NO_VERDICT)]
    verdicts = verdicts.set_index(verdicts["path"].map(lambda path: Path(path).stem))
    same = ~from_feedback & rows["photo"].isin(verdicts.index) & rows["reason"].isna()
    photo, was = rows.loc[same, "photo"], rows.loc[same, "species"]
    now = verdicts.loc[photo].set_index(photo.index)
    species = now["species"].fillna(was)  # a photo that is refused stays counted where it stood
    changed = species.index[species != was]
    known = annotations.ranks(inspected)
    rows.loc[changed, known.columns] = known.reindex(species[changed]).to_numpy()
    rows.loc[same, "species"] = species
    rows.loc[same, ["reason", "detail"]] = now[["reason", "detail"]]
    copies = from_feedback & rows["photo"].isin(photo) & rows["reason"].isna()
    rows.loc[copies, "reason"] = _COPY
    rows.loc[copies, "detail"] = "the same file as one of the collection"
    changes = (was + " -> " + species)[changed][~photo[changed].duplicated()]
    return rows, changes.value_counts().sort_index()


def effect(
    relabelled: pd.Series, decided: pd.DataFrame, manifest: pd.DataFrame, quarantine: pd.DataFrame
) -> Effect:
    """Counts what became of the photos of a feedback folder, from `listed` and `apply`."""
    is_own = manifest["path"].isin(decided["path"])
    added, others = manifest.loc[is_own, "species"], manifest.loc[~is_own, "species"]
    refused = quarantine.loc[quarantine["path"].isin(decided["path"]), "reason"]
    return Effect(
        relabelled,
        added.value_counts().sort_index(),
        int((~added.isin(others)).sum()),
        refused[refused != _COPY].value_counts().sort_index(),
    )


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
