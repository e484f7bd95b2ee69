"""The audit log: who let which version serve, when and why.

It is part of the registry, as tags of the registered model, so whoever shares the registry shares
the log. An entry is a tag of its own, so it is written whole or not at all, and entries are only
ever added.
"""

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline.core import tracking
from pipeline.register import versions

_PREFIX = "audit."


@dataclass(frozen=True)
class Entry:
    """One line of the log.

    Attributes:
        what: `promoted`, `rolled back to`, `kept out` or `put right`.
        version: The version it is about: the one that serves from now on or, if it was kept out,
            the one that does not.
        before: The version that served before; None if none did.
        by: `gate`, `hand` or `repair`.
        why: The reason, in words.
        who: The person who acted or ran the gate.
        when: Time in UTC, ISO 8601; for a reader, no decision rests on it.
    """

    what: str
    version: int
    before: int | None
    by: str
    why: str
    who: str
    when: str

    def __str__(self) -> str:
        by = "" if self.by == "hand" else f"the {self.by}, run by "
        return f"version {self.version} was {self.what} at {self.when[:19]}Z by {by}{self.who}"


def read() -> list[Entry]:
    """Returns all entries, the oldest first."""
    return [Entry(**json.loads(value)) for _, value in _tags()]


def moves() -> list[Entry]:
    """Returns the entries after which another version may have served."""
    return [entry for entry in read() if entry.what != "kept out"]


def append(what: str, version: int, before: int | None, by: str, why: str) -> Entry:
    """Adds an entry, and returns it.

    Args:
        what: As in `Entry`, likewise the others.
        version: The number of the version it is about.
        before: The number of the version that served before; None if none did.
        by: `gate`, `hand` or `repair`.
        why: The reason, in words.
    """
    number = len(_tags()) + 1
    entry = Entry(what, version, before, by, why, tracking.who(), datetime.now(UTC).isoformat())
    # The random end keeps two entries apart that are written at once under one number.
    name = f"{_PREFIX}{number:06d}.{uuid.uuid4().hex[:8]}"
    versions.client().set_registered_model_tag(versions.NAME, name, json.dumps(asdict(entry)))
    return entry


def _tags() -> list[tuple[str, str]]:
    exception = tracking.mlflow().exceptions.MlflowException
    try:
        tags = versions.client().get_registered_model(versions.NAME).tags
    except exception as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []
    return sorted(item for item in tags.items() if item[0].startswith(_PREFIX))
