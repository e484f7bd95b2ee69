"""Lists folders, and reads species and splits from the names of folders."""

import os
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pipeline.core import workspace
from pipeline.core.errors import UserError
from pipeline.sources import annotations
from pipeline.sources.filenames import METADATA, ignored, split_named

# Folders within a species' or a camera's that are neither: dates, and what cameras call them.
_GENERIC = re.compile(
    r"[\W\d_]*|dcim|\d{3}[a-z_]\w*|(?:19|20)\d\d\D.*|.*\D(?:19|20)\d\d"
    r"|(?:images?|imgs?|photos?|pictures?|pics|jpe?gs?|media|data|fotos?|bilder)[\W\d_]*"
    r"|(?:jan|feb|mar|apr|may|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]{0,7}[\W\d_]*"
    r"|(?:batch|part|set|day|week|month|year|session|visit|check|card|sd)[\W_]*\d+",
    re.IGNORECASE,
)
_CAMERAS = re.compile(
    r"(?:cam|camera|kamera|cámara|ct|trap|st|stn|station|site|loc|location|dep|deployment|plot|grid"
    r"|transect|standort)[\W_]*[a-z]?\d+[a-z]?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"[\W\d_]*|[^\W\d_]{0,12}[\W_]*\d+[a-z]?", re.IGNORECASE)
_SHOWN = 4  # names in a message


class Listing(NamedTuple):
    """The files below a folder (`listed`), and how many lie in each kind of ignored folder."""

    files: pd.DataFrame
    ignored: dict[str, int]


def root(source: str, files: Path) -> Path:
    """Returns the folder that paths of a manifest start from; `files` is where ingest unpacks."""
    path = Path(source)
    if path.is_dir():
        return top(path)
    return path.parent if path.suffix.lower() in METADATA else top(files)


def require_apart(source: str) -> None:
    """Checks that a collection and the project's own folders lie apart.

    A table as the source stands for the folder that it lies in.

    Raises:
        UserError: One lies in the other.
    """
    path = Path(source)
    is_table = path.suffix.lower() in METADATA and path.is_file()
    workspace.require_source_outside(path.parent if is_table else path)


def top(folder: Path) -> Path:
    """Returns the folder that holds a collection: `folder`, or a lone folder in it that does."""
    while True:
        inside = [entry for entry in folder.iterdir() if not ignored(entry.name)]
        if len(inside) != 1 or not inside[0].is_dir():
            return folder
        below = [entry for entry in inside[0].iterdir() if not ignored(entry.name)]
        if not any(e.is_dir() or e.suffix.lower() in METADATA for e in below):
            return folder
        folder = inside[0]


def listed(top: Path) -> Listing:
    """Lists every file below `top` but hidden and system ones, in the order of their paths.

    Returns:
        files: path and problem, a row a file; ignored: the number of files below hidden and
        system folders by the folders' names, and of such files by themselves. What cannot be a
        photo is listed too, with its problem:
        `linked_folder` (not followed: a link may lead round in a circle), `unreadable_folder`,
        `empty_folder`, `not_a_file` (a pipe, a dangling link) and `name_not_utf8`.
    """
    rows: list[tuple[str, str | None]] = []
    ignored_files: Counter[str] = Counter()
    todo = [str(top)]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(folder) as inside:
                everything = list(inside)
        except OSError:
            rows.append((folder, "unreadable_folder"))
            continue
        entries = [entry for entry in everything if not ignored(entry.name)]
        for entry in everything:
            if ignored(entry.name):
                ignored_files[entry.name] += _count(entry)
        if not entries and folder != str(top):
            rows.append((folder, "empty_folder"))
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                todo.append(entry.path)
            elif entry.is_symlink() and Path(entry.path).is_dir():
                rows.append((entry.path, "linked_folder"))
            else:
                is_file = entry.is_file(follow_symlinks=False) or Path(entry.path).is_file()
                rows.append((entry.path, None if is_file else "not_a_file"))
    rows = sorted(_inner(top, path, problem) for path, problem in rows)
    files = pd.DataFrame(rows, columns=["path", "problem"], dtype="str")
    return Listing(files, {name: n for name, n in sorted(ignored_files.items()) if n})


def _inner(top: Path, path: str, problem: str | None) -> tuple[str, str | None]:
    """Returns a path below `top` as UTF-8 text with slashes, and its problem."""
    inner = path[len(str(top)) + 1 :].replace(os.sep, "/")
    try:
        inner.encode()
    except UnicodeEncodeError:
        inner = inner.encode(errors="surrogateescape").decode(errors="backslashreplace")
        problem = "name_not_utf8"
    return inner, problem


def _count(entry: os.DirEntry) -> int:
    """Returns how many files an ignored entry holds; a link is not followed."""
    if not entry.is_dir(follow_symlinks=False):
        return 1
    return sum(len(files) for _, _, files in os.walk(entry.path))


def read(top: Path, disk: pd.DataFrame, level: int | None = None) -> pd.DataFrame:
    """Reads species from the names of folders: `<species>/**/<photo>`, or below folders of splits.

    The upper folders are splits if one is called `train` or the like, and another `validation` or
    `test`; what lies beside them belongs to none, and levels are counted below them.

    Args:
        top: The collection's top folder.
        disk: Its files (`Listing.files`).
        level: Which folder of a path is the species: 1 is the uppermost, -1 the one that the photo
            lies in. The folders above it, or those of the next level, are the location then.
            Defaults to the uppermost, without a location.

    Returns:
        Annotations (`annotations.frame`), a row a file in a class folder.

    Raises:
        UserError: There are no class folders.
    """
    split = splits(disk["path"])
    above = _above(disk, split)
    place = level or 1
    species = above.str[place - 1 if place > 0 else place]
    location = None
    if level is not None and (level != 1 or 2 in _recurring(above)):
        location = above.map(lambda names: _location(names, place))
    rows = annotations.frame(
        path=disk["path"], species=species, split_hint=split, location=location
    )
    rows = rows[rows["species"].notna()]
    if rows.empty:
        raise UserError(
            f"{top} holds no class folders; put the photos into one folder a species, such as "
            "cat/, dog/, or say what they show in a table, metadata.csv, with file_name and species"
        )
    return rows


def require_one_reading(top: Path, disk: pd.DataFrame) -> None:
    """Checks that it is plain which folders of a collection are the species.

    Raises:
        UserError: The same names recur below the upper folders, these hold several named folders
            each, or they are called as cameras are; says how the folders can be read, with the line
            of params for each.
    """
    above = _above_photos(disk)
    levels = _recurring(above)
    upper = sorted({names[0] for names in above if names})
    if levels:
        why = "holds the same names below each of its folders, so that the species may be either"
    elif _branching(above):
        why = "holds several named folders below each of its folders, and the species may be either"
    elif len(upper) > 1 and all(map(_CAMERAS.fullmatch, upper)):
        why = "has folders that are called as cameras are, and nothing else says what is shown"
    else:
        return
    raise UserError(f"{top} {why}; write into params.yaml\n" + "\n".join(readings(disk)))


def readings(disk: pd.DataFrame) -> list[str]:
    """Returns the lines of params.yaml that take species from folders, one for each level."""
    above = _above_photos(disk)
    lines = []
    for level in sorted({1, *_recurring(above), *_branching(above)}):
        names = sorted({names[level - 1] for names in above if len(names) >= level})
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        if names:
            lines.append(f"  ingest.species_from: folder:{level}   # {len(names)} species: {shown}")
    return lines


def _above_photos(disk: pd.DataFrame) -> pd.Series:
    files = disk[disk["problem"].isna() & ~disk["path"].str.lower().str.endswith(METADATA)]
    return _above(files, splits(disk["path"])[files.index])


def _above(disk: pd.DataFrame, split: pd.Series) -> pd.Series:
    """Returns the names of the folders above each file, without those of splits."""
    is_folder = disk["problem"].isin(["empty_folder", "linked_folder", "unreadable_folder"])
    names = disk["path"].where(~is_folder, disk["path"] + "/").str.split("/").str[:-1]
    if split.isna().all():
        return names
    return names.str[1:].where(split.notna(), pd.Series([[]] * len(names), names.index))


def _location(names: list[str], level: int) -> str | None:
    """Returns the folders above the species; where it is the uppermost, the next one below it."""
    place = level - 1 if level > 0 else len(names) + level
    if not 0 <= place < len(names):
        return None
    return "/".join(names[:place]) if place else (names[1] if len(names) > 1 else None)


def _below(above: pd.Series) -> tuple[int, dict[int, set[tuple[str, str]]]]:
    """Counts the uppermost folders, and lists the names that there are below them.

    Returns:
        The number, and for each level below the uppermost pairs of an uppermost folder and a name.
        Names that are dates, or what cameras call their folders, are left out.
    """
    unique = {tuple(names) for names in above if names}
    levels = range(2, max(map(len, unique), default=0) + 1)
    pairs = {level: {(n[0], n[level - 1]) for n in unique if len(n) >= level} for level in levels}
    return len({names[0] for names in unique}), {
        level: {pair for pair in several if not _GENERIC.fullmatch(pair[1])}
        for level, several in pairs.items()
    }


def _recurring(above: pd.Series) -> list[int]:
    """Returns the levels below the uppermost whose names recur in several uppermost folders."""
    upper, below = _below(above)
    levels = []
    for level, pairs in below.items():
        times = Counter(name for _, name in pairs)
        is_spread = 2 * len({first for first, _ in pairs}) >= upper
        if is_spread and len(times) > 1 and max(times.values()) > 1:
            levels.append(level)
    return levels


def _branching(above: pd.Series) -> list[int]:
    """Returns the levels of which most uppermost folders have several names without numbers."""
    upper, below = _below(above)
    levels = []
    for level, pairs in below.items():
        names = Counter(first for first, name in pairs if not _NUMBERED.fullmatch(name))
        several = sum(number > 1 for number in names.values())
        if upper > 1 and 2 * several >= upper:
            levels.append(level)
    return levels


def splits(paths: pd.Series) -> pd.Series:
    """Returns the split that the uppermost folder of each path stands for; null if it is none.

    All are null unless one folder is called `train` or the like, and another `validation` or
    `test`: a lone folder of such a name may be anything.
    """
    folder = paths.str.extract(r"^([^/]+)/", expand=False)
    named = {name: split for name in folder.dropna().unique() if (split := split_named(name))}
    several = "train" in named.values() and len(set(named.values())) > 1
    return folder.map(named if several else {}).astype("str")
