"""A folder of class folders: `<species>/**/<photo>`."""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError

# What operating systems leave behind in folders of photos.
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}


@dataclass(frozen=True)
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
    return name.startswith(".") or name.lower() in _SYSTEM


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

    Raises:
        UserError: There are no class folders.
    """
    found = []
    for folder, names, files in os.walk(top):
        names[:] = sorted(name for name in names if not ignored(name))
        inner = Path(folder).relative_to(top)
        species = inner.parts[0] if inner.parts else None
        for name in names:
            # Not followed: a link may lead round in a circle. It is counted all the same.
            if (Path(folder) / name).is_symlink():
                found.append(Found((inner / name).as_posix(), species, "linked_folder"))
        for name in files:
            if not ignored(name):
                problem = None if species else "outside_class_folders"
                found.append(Found((inner / name).as_posix(), species, problem))
    if not any(file.species for file in found):
        raise UserError(
            f"{top} holds no class folders; put the photos into one folder a species, "
            "such as cat/, dog/"
        )
    return sorted(found, key=lambda file: file.path)
