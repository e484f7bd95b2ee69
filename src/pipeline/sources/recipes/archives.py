"""Fetches a published collection: archives at addresses, with their sizes and hashes."""

import re
import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipeline.core.errors import UserError
from pipeline.core.yaml_file import Section
from pipeline.sources import archive, folders
from pipeline.sources.filenames import ignored
from pipeline.sources.recipes import download

Text = Annotated[str, Field(min_length=1)]


def _names_species(pattern: str) -> str:
    try:
        named = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if "species" not in named:
        raise ValueError(f"{pattern!r} has no group (?P<species>...)")
    return pattern


class Archive(Section):
    """A zip or tar at an address.

    Args:
        url: http, https, s3, gs or hf.
        size: Of the complete file (bytes).
        sha256: Of its bytes. Where nobody publishes it, the first fetch writes it down.
        inside: The folder, or the archive, in it that holds what is wanted. Defaults to all it
            holds.
    """

    url: Annotated[str, Field(pattern=r"^(https?|s3|gs|hf)://[^/\s]+/\S+$")]
    size: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    inside: Text | None = None


class Published(Section):
    """A published collection: `kind: archive`.

    Args:
        archives: Unpacked into one folder.
        licence: What the publisher allows; stands in the manifest with every photo.
        citation: What the publisher asks to be cited.
        species_from: Where species have no folders: a regular expression with a group `species`,
            searched in the path of each file.
        species: Only these. Defaults to all there are.
    """

    kind: Literal["archive"]
    archives: Annotated[list[Archive], Field(min_length=1)]
    licence: Text
    citation: Text
    species_from: Annotated[str, AfterValidator(_names_species)] | None = None
    species: Annotated[list[Text], Field(min_length=2)] | None = None


def unpack(recipe: Published, into: Path) -> None:
    """Fetches archives, and unpacks what the recipe wants of them into an empty folder.

    Raises:
        UserError: An archive cannot be had, is hostile, or holds something else.
    """
    files = [download.fetch(one.url, one.size, one.sha256) for one in recipe.archives]
    work = into / ".unpacked"  # in here, so that it goes with the rest if this is killed
    together = work / "together"
    together.mkdir(parents=True)
    for number, (one, file) in enumerate(zip(recipe.archives, files, strict=True)):
        for path in _wanted(one, file, work / str(number)).iterdir():
            if (together / path.name).exists():
                raise UserError(f"{one.url} holds {path.name}, and so does an archive before it")
            path.rename(together / path.name)
    if recipe.species or recipe.species_from:
        _sort(together, into, recipe.species_from, recipe.species)
    else:
        for path in together.iterdir():
            path.rename(into / path.name)
    shutil.rmtree(work)


def _wanted(one: Archive, file: Path, work: Path) -> Path:
    """Returns the folder of an archive's wanted files, unpacked below `work`."""
    outer, inner = work / "outer", work / "inner"
    for folder in (outer, inner):
        folder.mkdir(parents=True)
    archive.unpack(file, outer)
    wanted = outer / (one.inside or ".")
    if not wanted.resolve().is_relative_to(outer.resolve()) or not wanted.exists():
        there = ", ".join(sorted(path.name for path in outer.iterdir()))
        raise UserError(f"there is no {one.inside} in {one.url}; at its top is {there}")
    if wanted.is_dir():
        return wanted
    archive.unpack(wanted, inner)
    return inner


def _sort(top: Path, into: Path, pattern: str | None, wanted: list[str] | None) -> None:
    """Moves the files of wanted species into class folders, and those of none beside them."""
    top = top if pattern else folders.top(top)
    seen = set()
    files = sorted(path for path in top.rglob("*") if path.is_file())
    for number, file in enumerate(files):
        species, rest = _species(file.relative_to(top).as_posix(), pattern)
        seen.add(species)
        if species is None:
            file.rename(into / f"{number} {file.name[:60]}")
        elif wanted is None or species in wanted:
            target = into / species / rest
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
    if seen <= {None}:
        raise UserError(f"no path in the archives fits species_from, which is {pattern}")
    if missing := ", ".join(sorted(set(wanted or ()) - seen)):
        there = ", ".join(sorted(seen - {None}))
        raise UserError(f"the archives hold no {missing}; the species they hold are {there}")


def _species(path: str, pattern: str | None) -> tuple[str | None, str]:
    """Returns the species that a path names (None if it names none) and its path in that folder."""
    if pattern is None:
        species, _, rest = path.partition("/")
        return (species, rest) if rest else (None, path)
    match = re.search(pattern, path)
    species = match["species"] if match else None
    if not species or "/" in species or species.startswith(".") or ignored(species):
        return None, path
    return species, path
