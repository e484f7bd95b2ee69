"""The audit log: who let which version serve, when and why.

It is part of the registry, as tags of the registered model, so whoever shares the registry shares
the log. Entries are only ever added. A tag's name holds the hash of its entry, and an entry the
name of the one before, so an entry that was altered or taken out is noticed.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pipeline.core import tracking
from pipeline.register import versions

_PREFIX = "audit."


@dataclass(frozen=True)
class Entry:
    """One act.

    Attributes:
        what: `promoted`, `rolled back to`, `kept out` or `put right`.
        version: The version it is about: the one that serves from now on or, if it was kept out,
            the one that does not.
        before: The version that served before; None if none did.
        by: `gate`, `hand` or `repair`.
        why: The reason, in words.
        who: The person who acted or ran the gate.
        when: Time in UTC, ISO 8601.
        after: `digest` of the entry before.
    """

    what: str
    version: int
    before: int | None
    by: str
    why: str
    who: str
    when: str
    after: str

    @property
    def moves(self) -> bool:
        """Whether another version may serve from then on."""
        return self.what != "kept out"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.json.encode()).hexdigest()[:16]

    @property
    def json(self) -> str:
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        by = "" if self.by == "hand" else f"the {self.by}, run by "
        return f"version {self.version} was {self.what} at {self.when[:19]}Z by {by}{self.who}"


def read() -> list[Entry]:
    """All entries, the oldest first."""
    return [Entry(**json.loads(value)) for _, value in _tags()]


def moves() -> list[Entry]:
    """The entries after which another version may have served."""
    return [entry for entry in read() if entry.moves]


def append(
    log: list[Entry], what: str, version: int, before: int | None, by: str, why: str
) -> None:
    """Adds an entry to `log`, which is what `read` gave; the rest is as in `Entry`."""
    after = log[-1].digest if log else ""
    now = datetime.now(UTC).isoformat()
    entry = Entry(what, version, before, by, why, tracking.who(), now, after)
    versions.client().set_registered_model_tag(versions.NAME, _name(len(log), entry), entry.json)


def damage() -> str | None:
    """Whether an entry was altered or taken out: a sentence, or None."""
    after = ""
    for number, (name, value) in enumerate(_tags()):
        entry = Entry(**json.loads(value))
        if name != _name(number, entry) or entry.after != after:
            return f"the audit log was altered: entry {number + 1} is not the one that was written"
        after = entry.digest
    return None


def _name(number: int, entry: Entry) -> str:
    return f"{_PREFIX}{number + 1:06d}.{entry.digest}"


def _tags() -> list[tuple[str, str]]:
    exception = tracking.mlflow().exceptions.MlflowException
    try:
        tags = versions.client().get_registered_model(versions.NAME).tags
    except exception as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []
    return sorted(item for item in tags.items() if item[0].startswith(_PREFIX))
