"""Applies a list of the species that live at a place, or are there in a season, to answers."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.inference.open_set import UNKNOWN_ANIMAL
from pipeline.sources import cells
from pipeline.sources import labels as label_names

Answer = dict[str, Any]
FIELD = "off_list"
_COLUMNS = ("species", "location", "from", "to")
_DAY = re.compile(r"(?:\d{4}-)?(\d\d-\d\d)")
_LEAST = 0.5  # of the probability: less on the list, and it may well be something that is not


@dataclass(frozen=True)
class Entry:
    """A line of a list.

    Attributes:
        species: Its name, as `labels.comparable` returns it.
        location: The name of a folder of photos; None for all.
        first: The first day of the season (`MM-DD`); None for all the year.
        last: The last day; before `first` where the season spans the turn of the year.
    """

    species: str
    location: str | None
    first: str | None
    last: str | None

    def holds(self, folders: Sequence[str], day: str | None) -> bool:
        """Tells whether it speaks of a photo in these folders, taken on this day (`MM-DD`)."""
        if self.location is not None and self.location not in folders:
            return False
        if self.first is None or self.last is None or day is None:
            return True
        if self.first <= self.last:
            return self.first <= day <= self.last
        return day >= self.first or day <= self.last


def read(path: Path, labels: Sequence[str]) -> list[Entry]:
    """Reads a list: a table with a column `species`, and `location`, `from` and `to` if wanted.

    Args:
        path: The file, CSV or another table that ingest reads.
        labels: The species that the recogniser knows.

    Raises:
        UserError: It cannot be read, has no column of species or another day than `MM-DD`, or names
            no species that the recogniser knows.
    """
    if not path.is_file():
        raise UserError(f"--list {path}: there is no such file")
    rows = cells.load(path)
    rows = rows.rename(columns=lambda name: str(name).strip().lower())
    if "species" not in rows:
        raise UserError(f"{path} has no column `species`; it has {', '.join(rows)}")
    rows = rows.reindex(columns=list(_COLUMNS)).astype("str").dropna(subset="species")
    entries = [
        Entry(
            label_names.comparable(row.species),
            None if pd.isna(row.location) else row.location.strip() or None,
            *(_day(path, value) for value in row[3:]),
        )
        for row in rows.itertuples()
    ]
    known = {label_names.comparable(label) for label in labels}
    if not known & {entry.species for entry in entries}:
        raise UserError(
            f"{path} names none of the species that the model knows: {', '.join(labels)}"
        )
    return entries


def _day(path: Path, value: object) -> str | None:
    if pd.isna(value) or not str(value).strip():
        return None
    day = _DAY.fullmatch(str(value).strip())
    if not day:
        raise UserError(f"{path} has the day {value!r}; write MM-DD, as 04-15, or YYYY-MM-DD")
    return day[1]


def apply(entries: Sequence[Entry], answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yields answers among the species that the list has for their place and day.

    Species that are not on it lose their probability to those that are. An answer whose species
    changes says in `off_list` what it was without the list. Where the species on the list have less
    than half of the probability together, it is unknown. Photos of places of which the list says
    nothing, and labels that name no animal, stay as they are.

    Args:
        entries: From `read`.
        answers: From `batch.answers`.
    """
    for answer in answers:
        allowed = None if answer["error"] is not None else _allowed(entries, answer)
        yield answer | ({FIELD: None} if allowed is None else _among(allowed, answer))


def _allowed(entries: Sequence[Entry], answer: Answer) -> set[str] | None:
    """Returns the species that may be at a photo's place and day; None where nothing is known."""
    folders = PurePosixPath(answer["path"]).parent.parts
    here = [entry for entry in entries if entry.holds(folders, None)]
    if not here:
        return None
    day = answer["taken_at"] and answer["taken_at"][5:10]
    return {entry.species for entry in here if entry.holds(folders, day)}


def _among(allowed: set[str], answer: Answer) -> Answer:
    """Returns the fields of an answer that the list changes."""

    def is_possible(species: str) -> bool:
        if label_names.kind(species) != "animal":
            return True
        return label_names.comparable(species) in allowed

    possible = [one for one in answer["top"] if is_possible(one["species"])]
    total = sum(one["probability"] for one in possible)
    changed: Answer = {FIELD: None}
    if possible and total > 0:
        shares = [one | {"probability": round(one["probability"] / total, 6)} for one in possible]
        held = [name for name in answer["prediction_set"] if is_possible(name)]
        changed |= shares[0] | {
            "top": shares,
            "prediction_set": held or [shares[0]["species"]],
        }
    if not is_possible(answer["species"]):
        changed |= {FIELD: answer["species"], "rank": None, "taxon": None}
        changed["taxon_probability"] = None
    if total < _LEAST:
        reason = f"the species on the list have {total:.2f} of the probability"
        changed |= {"unknown": True, "kind": UNKNOWN_ANIMAL, "reason": reason}
    return changed
