"""Folders: what lies in them, and what the names of class folders and of splits say."""

import os
from pathlib import Path

import pandas as pd

from pipeline.core import workspace
from pipeline.core.errors import UserError
from pipeline.sources import annotations
from pipeline.sources.filenames import METADATA, ignored, split_named


def root(source: str, files: Path) -> Path:
    """The folder that the paths of a manifest start from.

    Args:
        source: `ingest.source` of the params.
        files: Where ingest puts what it has to unpack or draw.
    """
    path = Path(source)
    if path.is_dir():
        return top(path)
    return path.parent if path.suffix.lower() in METADATA else top(files)


def require_apart(source: str) -> None:
    """Checks that a collection and the project's own folders lie apart.

    Args:
        source: `ingest.source` of the params. A table stands for the folder that it lies in.

    Raises:
        UserError: One lies in the other.
    """
    path = Path(source)
    is_table = path.suffix.lower() in METADATA and path.is_file()
    workspace.require_source_outside(path.parent if is_table else path)


def top(folder: Path) -> Path:
    """The folder that holds a collection: `folder`, or a lone folder in it that does."""
    while True:
        inside = [entry for entry in folder.iterdir() if not ignored(entry.name)]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        below = [entry for entry in inside[0].iterdir() if not ignored(entry.name)]
        if not any(e.is_dir() or e.suffix.lower() in METADATA for e in below):
            return folder
        folder = inside[0]


def listed(top: Path) -> pd.DataFrame:
    """Lists every file below `top` but hidden and system ones, in the order of their paths.

    Returns:
        path and problem, a row a file. What cannot be a photo is listed too, with its problem:
        `linked_folder` (not followed: a link may lead round in a circle), `unreadable_folder`,
        `empty_folder`, `not_a_file` (a pipe, a dangling link) and `name_not_utf8`.
    """
    start = len(str(top)) + 1
    found: list[tuple[str, str | None]] = []

    def add(path: str, problem: str | None) -> None:
        inner = path[start:].replace(os.sep, "/")
        try:
            inner.encode()
        except UnicodeEncodeError:
            inner = inner.encode(errors="surrogateescape").decode(errors="backslashreplace")
            problem = "name_not_utf8"
        found.append((inner, problem))

    todo = [str(top)]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(folder) as inside:
                entries = [entry for entry in inside if not ignored(entry.name)]
        except OSError:
            add(folder, "unreadable_folder")
            continue
        if not entries and folder != str(top):
            add(folder, "empty_folder")
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)
            elif entry.is_symlink() and Path(entry.path).is_dir():
                add(entry.path, "linked_folder")
            else:
                is_file = entry.is_file(follow_symlinks=False) or Path(entry.path).is_file()
                add(entry.path, None if is_file else "not_a_file")
    return pd.DataFrame(sorted(found), columns=["path", "problem"], dtype="str")


def read(top: Path, disk: pd.DataFrame) -> pd.DataFrame:
    """What the names of folders say: `<species>/**/<photo>`, or `<split>/<species>/**/<photo>`.

    The upper folders are splits if one is called `train` or the like, and another `validation` or
    `test`; what lies beside them belongs to none.

    Args:
        top: The collection's top folder.
        disk: What `listed` found there.

    Returns:
        Annotations (`annotations.frame`), a row a file in a class folder.

    Raises:
        UserError: There are no class folders.
    """
    is_folder = disk["problem"].isin(["empty_folder", "linked_folder", "unreadable_folder"])
    paths = disk["path"].where(~is_folder, disk["path"] + "/")
    parts = paths.str.split("/", n=2, expand=True).reindex(columns=range(3))
    split = splits(paths)
    depth = 1 if split.notna().any() else 0
    species = parts[depth].where(parts[depth + 1].notna() & (split.notna() | (depth == 0)))
    rows = annotations.frame(path=disk["path"], species=species, split_hint=split)
    rows = rows[rows["species"].notna()]
    if rows.empty:
        raise UserError(
            f"{top} holds no class folders; put the photos into one folder a species, such as "
            "cat/, dog/, or say what they show in a table, metadata.csv, with file_name and species"
        )
    return rows


def splits(paths: pd.Series) -> pd.Series:
    """The split that the uppermost folder of each path stands for; null for those in no such one.

    All are null unless one folder is called `train` or the like, and another `validation` or
    `test`: a lone folder of such a name may be anything.
    """
    folder = paths.str.extract(r"^([^/]+)/", expand=False)
    named = {name: split for name in folder.dropna().unique() if (split := split_named(name))}
    several = "train" in named.values() and len(set(named.values())) > 1
    return folder.map(named if several else {}).astype("str")
