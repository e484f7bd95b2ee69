"""Fetches photos of chosen species from a public database of observations.

The database's answers and every photo stay under `.cache/downloads`: a killed run goes on
where it was, and the same recipe gives the same photos as long as that folder lives.
"""

import csv
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.core import atomic
from pipeline.core.errors import UserError
from pipeline.core.progress import track
from pipeline.core.yaml_file import Section
from pipeline.inference import decoding
from pipeline.sources import filenames
from pipeline.sources.recipes import download

Licence = Literal["cc0", "cc-by", "cc-by-sa", "cc-by-nd", "cc-by-nc", "cc-by-nc-sa", "cc-by-nc-nd"]
# A class folder's name.
Folder = Annotated[
    str, Field(pattern=r"^[^\s./\\:*?\"<>|][^/\\:*?\"<>|\x00-\x1f]*$", max_length=100)
]

DECIMALS = 2  # of coordinates
PER_OBSERVATION = 4  # more of one animal at one time teach little, and crowd others out
PER_SECOND = 10  # photos; at 500 px about 1 MB/s, below the 5 GB an hour that iNaturalist allows
MAX_PHOTO, MAX_ANSWER = 32 << 20, 64 << 20  # bytes
PAGES = 500  # of answers about a species; a server that never ends is not followed further
PATIENCE = 10  # photos in a row that cannot be had; then it is not the photos
_COLUMNS = (
    *("file_name", "species", "group", "licence", "taken_at", "location"),
    *("observer", "observation"),
)


class Observed(Section):
    """Photos out of a public database: `kind: inaturalist` or `kind: gbif`.

    Args:
        kind: The database.
        species: The name of each class folder, and the species' name: scientific, or for
            iNaturalist also common.
        per_species: At most so many photos of each.
        licences: Photos under other licences, or under none, are left alone.
        side: Longer side of the photos (px).
        api: Address of the database, where it is not the public one.
    """

    kind: Literal["inaturalist", "gbif"]
    species: Annotated[dict[Folder, Annotated[str, Field(min_length=1)]], Field(min_length=2)]
    per_species: Annotated[int, Field(ge=1, le=10_000)]
    licences: Annotated[list[Licence], Field(min_length=1)]
    side: Literal[500, 1024] = 500
    api: Annotated[str, Field(pattern=r"^https?://\S+[^/\s]$")] | None = None


@dataclass(frozen=True)
class Photo:
    """A photo that a database offers.

    Attributes:
        key: A name of its own in its database: letters, digits and hyphens.
        url: Where its bytes are.
        group: The observation it belongs to.
        licence: A `Licence`.
        observer: Who is to be named.
        observation: The observation's page.
        taken_at: ISO 8601 without a zone; None if unknown.
        location: Coordinates to 0.01 degrees, some kilometre, so that photos of one place share a
            group; None if unknown.
    """

    key: str
    url: str
    group: str
    licence: str
    observer: str
    observation: str
    taken_at: str | None
    location: str | None


def gather(recipe: Observed, into: Path) -> None:
    """Fetches photos into class folders of an empty folder, and writes `metadata.csv` there.

    The table has a row a photo: file_name, species, group, licence, taken_at, location, observer
    and observation, which is what an attribution needs.

    Raises:
        UserError: The database does not know a species, has no photos of it, or cannot be had.
    """
    if recipe.kind == "inaturalist":
        from pipeline.sources.recipes.inaturalist import offered
    else:
        from pipeline.sources.recipes.gbif import offered

    with (into / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for species, name in recipe.species.items():
            (into / species).mkdir()
            fetched = _fetched(recipe, species, offered(recipe, name))
            count = 0
            for photo, data, extension in track(fetched, recipe.per_species, f"fetch {species}"):
                inner = f"{species}/{photo.key}.{extension}"
                (into / inner).write_bytes(data)
                table.writerow(vars(photo) | {"file_name": inner, "species": species})
                count += 1
            if not count:
                raise UserError(
                    f"{recipe.kind} has no photo of {name!r} under {', '.join(recipe.licences)}"
                )
            if count < recipe.per_species:
                print(
                    f"{species}: {count} of {recipe.per_species} photos; there are no more under "
                    f"{', '.join(recipe.licences)}",
                    file=sys.stderr,
                )


def remembered(question: str, attempt: Callable[[], bytes]) -> dict[str, Any]:
    """Returns the answer of a database to a query, from the cache if it was sent before.

    `attempt` sends it, as `download.patiently` wants it.

    Raises:
        UserError: The database cannot be reached, or its answer is not a JSON object.
    """
    name = hashlib.sha256(question.encode()).hexdigest()
    cached = download.DOWNLOADS / "answers" / f"{name}.json"
    if cached.exists() and (document := _parsed(cached.read_bytes())) is not None:
        cached.parent.touch()  # the caches' bound goes by the last use
        return document

    def checked() -> dict[str, Any]:
        if (answer := _parsed(attempt())) is None:
            raise download.Passing("its answer is not a JSON object")
        return answer

    document = download.patiently(question, checked)
    if document.get("results"):  # what is not there today may be there tomorrow
        with atomic.atomic_write(cached) as path:
            path.write_text(json.dumps(document), encoding="utf-8")
    return document


def _parsed(answer: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def moment(written: Any) -> str | None:
    """Returns a time without its zone, as far as it is given; None if it is not a time."""
    matched = re.match(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d)?", str(written))
    return matched and matched[0]


def plain(text: Any) -> str:
    """Returns a stranger's text on one line, for a table; a spreadsheet takes it for no formula."""
    printable = "".join(c if c.isprintable() else " " for c in str(text or ""))
    return " ".join(printable.split()).lstrip("=+-@ ")[:200]


def objects(value: Any) -> list[dict[str, Any]]:
    """Returns the objects in a list; none if it is not a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def number(value: Any) -> int | None:
    """Returns a number that a database has given to something; None where it is none."""
    return value if type(value) is int and 0 < value < 2**63 else None


def _fetched(
    recipe: Observed, species: str, offered: Iterator[Photo]
) -> Iterator[tuple[Photo, bytes, str]]:
    """Yields the first `per_species` photos that can be had, with their bytes and extensions."""
    seen, got, failed, in_a_row = set(), 0, 0, 0
    for photo in offered:
        if photo.key in seen:
            continue
        seen.add(photo.key)
        try:
            data, extension = _bytes(recipe, photo)
        except UserError as error:
            failed, in_a_row = failed + 1, in_a_row + 1
            if in_a_row == PATIENCE:
                raise UserError(f"{PATIENCE} photos in a row cannot be had; {error}") from None
            if failed == 1:
                print(f"{species}: left out, {error}", file=sys.stderr)
            continue
        in_a_row = 0
        yield photo, data, extension
        got += 1
        if got == recipe.per_species:
            break
    if failed > 1:
        print(f"{species}: left out {failed - 1} more for like reasons", file=sys.stderr)


def _bytes(recipe: Observed, photo: Photo) -> tuple[bytes, str]:
    """Returns a photo's bytes, fetched once, and the extension that fits them."""
    cached = download.DOWNLOADS / recipe.kind / f"{photo.key}-{recipe.side}"
    if cached.exists():
        with suppress(decoding.PhotoError):
            data = cached.read_bytes()
            extension = filenames.ending(decoding.inspect(data).format)
            cached.parent.touch()  # the caches' bound goes by the last use
            return data, extension
    time.sleep(1 / PER_SECOND)
    data = download.body(photo.url, MAX_PHOTO)
    try:
        extension = filenames.ending(decoding.inspect(data).format)
    except decoding.PhotoError as error:
        raise UserError(f"{photo.url} is not a photo: {error}") from None
    with atomic.atomic_write(cached) as path:
        path.write_bytes(data)
    return data, extension
