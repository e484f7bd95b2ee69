"""Stores people's decisions on photos, in a collection of their own.

The folder holds `photos/`, the files named by their sha256, and `decisions.jsonl`, a line of JSON a
decision: photo, file, kind, label, who, when, version (of the model that had answered), answered
and probability. Lines are only ever added: no decision is ever overwritten.
"""

import json
import os
import threading
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pipeline.core.atomic import atomic_write
from pipeline.core.errors import UserError
from pipeline.inference import decoding
from pipeline.inference.pooling import BLANK
from pipeline.sources.filenames import ending

Kind = Literal["species", "no_animal", "bad_photo", "withdrawn"]
PHOTOS, DECISIONS = "photos", "decisions.jsonl"
MAX_LABEL, MAX_WHO = 100, 60  # characters
_README = """Decisions on photos, made on the page of `animal app`: photos, and decisions.jsonl.

`ingest.feedback` in params.yaml names this folder; the next `dvc repro` learns from it.
`animal feedback` lists it.
"""


@dataclass(frozen=True)
class Decision:
    """A decision of one person on one photo.

    Attributes:
        photo: The sha256 of its file.
        file: Its path in the folder.
        kind: `species`, with a label; `no_animal`; `bad_photo`, which is not learned from; or
            `withdrawn`: the person's earlier decision does not count any more.
        label: The species if `kind` is `species`, else None.
        who: The person.
        when: ISO 8601, UTC.
        version: Of the model that had answered; None if none had.
        answered: The species it had answered.
        probability: What it had given it.
    """

    photo: str
    file: str
    kind: Kind
    label: str | None
    who: str
    when: str
    version: str | None = None
    answered: str | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Settled:
    """The decisions on one photo, taken together.

    Attributes:
        photo: The sha256 of its file.
        file: Its path in the folder.
        by: Each person's last decision: a species, or `no_animal` or `bad_photo`.
    """

    photo: str
    file: str
    by: dict[str, str]

    @property
    def disputed(self) -> bool:
        """Returns whether two persons disagree."""
        return len(set(self.by.values())) > 1

    @property
    def verdict(self) -> str | None:
        """Returns what all agree on; None where they do not, or every decision was withdrawn."""
        return next(iter(self.by.values())) if self.by and not self.disputed else None

    @property
    def species(self) -> str | None:
        """Returns the class that the photo is learned as; None if it is left out."""
        if self.verdict in (None, "bad_photo"):
            return None
        return BLANK if self.verdict == "no_animal" else self.verdict

    def describe(self) -> str:
        """Lists each person with their decision."""
        return ", ".join(f"{who} says {what}" for who, what in sorted(self.by.items()))


def text(given: str, most: int, what: str) -> str:
    """Returns a label or a name that a person typed, without blanks around it.

    Raises:
        UserError: It is empty, too long, or has characters that cannot be seen.
    """
    plain = " ".join(given.split())
    if not plain or len(plain) > most or not plain.isprintable():
        raise UserError(f"{what} must have 1 to {most} characters that can be printed")
    return plain


class Feedback:
    """The collection in a folder. Safe to use from several threads of one process.

    Args:
        folder: Created with the first decision.
    """

    def __init__(self, folder: Path):
        self.folder, self._lock = folder, threading.Lock()

    def add(self, data: bytes, kind: Kind, label: str | None, who: str, **answer: object) -> None:
        """Stores a decision with its photo, at once and for good.

        Args:
            data: The bytes of the photo's file.
            kind: See `Decision`.
            label: The species if `kind` is `species`; ignored otherwise.
            who: The person.
            answer: version, answered and probability, if a model had answered.

        Raises:
            UserError: The label or the name cannot be one.
            PhotoError: The bytes give no picture.
        """
        if kind == "species":
            label = text(label or "", MAX_LABEL, "a species")
            if label in get_args(Kind):
                raise UserError(f"{label} is no species")
        else:
            label = None
        who = text(who, MAX_WHO, "a person's name")
        photo, form = decoding.identity(data), decoding.inspect(data).format
        file = f"{PHOTOS}/{photo}.{ending(form)}"
        when = datetime.now(UTC).isoformat(timespec="seconds")
        decision = Decision(photo, file, kind, label, who, when, **answer)
        with self._lock:
            self._store_photo(self.folder / file, data)
            self._append(decision)

    def _store_photo(self, path: Path, data: bytes) -> None:
        if path.exists():
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        readme = self.folder / "README"
        if not readme.exists():
            readme.write_text(_README)
        with atomic_write(path) as partial:
            partial.write_bytes(data)

    def _append(self, decision: Decision) -> None:
        line = json.dumps(asdict(decision), ensure_ascii=False).encode() + b"\n"
        with (self.folder / DECISIONS).open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a killed process, or a full disk, left half a line
                    line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def decisions(self) -> list[Decision]:
        """Returns all decisions, the oldest first, without half a line that a kill left.

        Labels come in Unicode's normal form C, as those of a collection do.
        """
        path = self.folder / DECISIONS
        if not path.exists():
            return []
        decisions = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                one = Decision(**json.loads(line))
                label = one.label and unicodedata.normalize("NFC", one.label)
                decisions.append(replace(one, label=label))
            except (ValueError, TypeError):
                continue
        return decisions

    def species(self) -> set[str]:
        """Returns the species that people named, also of photos on which they disagree."""
        decisions = self.decisions()
        named = {one.label for one in decisions if one.label}
        return named | {BLANK for one in decisions if one.kind == "no_animal"}

    def undecided(self) -> list[str]:
        """Returns the files of photos that no decision names, sorted."""
        decided = {one.file for one in self.decisions()}
        photos = (self.folder / PHOTOS).glob("[!.]*")
        return sorted({f"{PHOTOS}/{path.name}" for path in photos} - decided)

    def settled(self, photos: Iterable[str] | None = None) -> dict[str, Settled]:
        """Returns the decisions on each photo, or on each of `photos`, by its sha256."""
        wanted = None if photos is None else set(photos)
        by: dict[str, Settled] = {}
        for one in self.decisions():
            if wanted is not None and one.photo not in wanted:
                continue
            there = by.setdefault(one.photo, Settled(one.photo, one.file, {}))
            if one.kind == "withdrawn":
                there.by.pop(one.who, None)
            else:
                there.by[one.who] = one.label or one.kind
        return by
