"""A folder of class folders: `<species>/**/<photo>`."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError

# What operating systems leave behind in folders of photos.
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a collection.

    Attributes:
        path: Below the collection's top folder, with forward slashes.
        species: The name of its class folder; None where there is none.
        problem: Why it cannot be read at all; None where it can be tried.
    """

    path: str
    species: str | None
    problem: str | None = None


def ignored(name: str) -> bool:
    """Whether a file or folder of this name is hidden or an operating system's own."""
    hidden = name.startswith(".") and name not in (".", "..")
    return hidden or name.lower() in _SYSTEM


def root(source: str, files: Path) -> Path:
    """The folder that the paths of a manifest start from.

    Args:
        source: `ingest.source` of the params.
        files: Where ingest puts what it has to unpack or draw.
    """
    path = Path(source)
    return top(path if path.is_dir() else files)


def top(folder: Path) -> Path:
    """The folder that holds the class folders: `folder`, or a lone folder of folders in it."""
    while True:
        inside = [entry for entry in folder.iterdir() if not ignored(entry.name)]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        if not any(e.is_dir() for e in inside[0].iterdir() if not ignored(e.name)):
            return folder
        folder = inside[0]


def walk(top: Path) -> list[Found]:
    """Lists every file below `top` but hidden and system ones, in the order of their paths.

    What cannot be a photo is listed too, with its problem: `outside_class_folders`,
    `linked_folder` (not followed: a link may lead round in a circle), `unreadable_folder`,
    `empty_folder` (a class folder that holds nothing), `not_a_file` (a pipe, a dangling link) and
    `name_not_utf8`.

    Raises:
        UserError: There are no class folders.
    """
    found: list[Found] = []

    def add(path: Path, problem: str | None = None) -> None:
        inner = path.relative_to(top)
        species = inner.parts[0] if len(inner.parts) > 1 or path.is_dir() else None
        try:
            inner.as_posix().encode()
        except UnicodeEncodeError:
            problem = "name_not_utf8"
        shown, named = (
            text and text.encode(errors="surrogateescape").decode(errors="backslashreplace")
            for text in (inner.as_posix(), species)
        )
        found.append(Found(shown, named, problem or (None if species else "outside_class_folders")))

    def unreadable(error: OSError) -> None:
        add(Path(error.filename), "unreadable_folder")

    for name, folders, files in os.walk(top, onerror=unreadable):
        folder = Path(name)
        folders[:] = sorted(inner for inner in folders if not ignored(inner))
        files = [folder / file for file in files if not ignored(file)]
        if folder.parent == top and not folders and not files:
            add(folder, "empty_folder")
        for inner in folders:
            if (folder / inner).is_symlink():
                add(folder / inner, "linked_folder")
        for file in files:
            add(file, None if file.is_file() else "not_a_file")
    if not any(file.species for file in found):
        raise UserError(
            f"{top} holds no class folders; put the photos into one folder a species, "
            "such as cat/, dog/"
        )
    return sorted(found, key=lambda file: file.path)
