"""Matches the paths that metadata write to the files on the disk, row by row.

A written path may start above or below the collection, use either slash, another case or another
normal form of Unicode, or leave the extension out. It names a file where one of the two paths ends
with all of the other; of several such files, the one with the longest common tail. Nothing is
looked up on the disk, so no path leads out of the collection.
"""

import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

MISSING, AMBIGUOUS = "missing_file", "ambiguous_file"
_SEVERAL = -1
_LISTED = 3  # files that a detail names


class Match(NamedTuple):
    """The file that a path names: its number, None where none fits, `_SEVERAL` where some do."""

    number: int | None
    above: str = ""
    exact: bool = False


class FileIndex:
    """The files of a collection by every tail of their paths.

    Args:
        files: Paths below the collection's top folder, with `/`, each once.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.files = files
        self.numbers = {file: number for number, file in enumerate(files)}
        self._keys: dict[Callable, tuple[dict[str, int], dict[str, int]]] = {}

    def find(self, written: str) -> Match:
        """Returns the file that a normalised path (`normalised`) names."""
        if written in self.numbers:
            return Match(self.numbers[written], exact=True)
        for of_disk, of_row in _FORMS:
            if (number := self._by(of_disk)[1].get(of_row(written))) is not None:
                return Match(number)
        above = ""
        while "/" in written:
            folder, _, written = written.partition("/")
            above += f"{folder}/"
            for of_disk, of_row in _FORMS:
                if (number := self._by(of_disk)[0].get(of_row(written))) is not None:
                    return Match(number, above)
        return Match(None)

    def _by(self, key: Callable[[str], str]) -> tuple[dict[str, int], dict[str, int]]:
        """Returns the files by their full paths, and by every tail of them; built on first use."""
        if key not in self._keys:
            full: dict[str, int] = {}
            tails: dict[str, int] = {}
            for number, file in enumerate(self.files):
                tail = key(file)
                full[tail] = _SEVERAL if tail in full else number
                while tail:
                    tails[tail] = _SEVERAL if tail in tails else number
                    tail = tail.partition("/")[2]
            self._keys[key] = full, tails
        return self._keys[key]


def match(
    written: pd.Series,
    disk: Sequence[str],
    places: pd.DataFrame | None = None,
    top: str = "",
    folder: str = "",
) -> pd.DataFrame:
    """Matches each row of metadata to the one file that it names.

    Args:
        written: The path of each row.
        disk: Paths below the collection's top folder, each once.
        places: Columns of the same rows whose values may be names of folders, such as a deployment.
            A column counts if one of its values is one; then a file must lie in the row's folder.
            Defaults to none.
        top: Name of the collection's top folder, if it is known; of several folders, one in the
            other, with `/`.
        folder: Folder below the top that the metadata lie in. If one of their paths names a file
            in it, they speak of its files alone.

    Returns:
        A row a row of `written`: path (of the file, or as written where there is none), problem
        (`missing_file`, `ambiguous_file` or null), detail.
    """
    rows = pd.DataFrame({"raw": written, "written": written.map(normalised)})
    disk = list(disk)
    inside = [file for file in disk if file.startswith(f"{folder}/")] if folder else []
    if inside:
        starts = len(folder) + 1
        known = {_folded(file[starts:]) for file in inside}
        if rows["written"].map(_folded).isin(known).any():
            matched = match(written, [file[starts:] for file in inside], places, folder)
            return matched.assign(path=f"{folder}/" + matched["path"])
    columns = []
    if places is not None and not rows["written"].str.contains("/").mean() > 0.5:
        for name in places:
            rows[name] = places[name].map(normalised, na_action="ignore")
            rows[name] = rows[name].mask(rows[name] == "")
            columns.append(name)
    return _matched(rows, columns, disk, top)


def _matched(rows: pd.DataFrame, columns: list[str], disk: list[str], top: str) -> pd.DataFrame:
    used = folder_columns(rows, columns, disk, top)
    claims = rows.drop_duplicates(ignore_index=True)
    written = list(claims["written"])
    best = [Match(None)] * len(claims)
    index = FileIndex(disk)
    groups = (
        claims.groupby(used, dropna=False, sort=False).indices if used else {None: claims.index}
    )
    inside = _files_by_folder(disk, top) if used else {}
    for place, numbers in groups.items():  # a path is looked for once for each place
        values = place if isinstance(place, tuple) else (place,)
        names = [value for value in values if isinstance(value, str)]
        wanted = [inside.get(_folded(name), set()) for name in names]
        within = sorted(set.intersection(*wanted)) if wanted else None
        part = index if within is None else FileIndex([disk[number] for number in within])
        for number in map(int, numbers):
            path = written[number]
            beside = f"{names[0]}/{path}" if len(names) == 1 else ""
            one = part.find(beside if beside in part.numbers else path)
            if within is not None and one.number not in (None, _SEVERAL):
                one = one._replace(number=within[one.number])
            best[number] = one
    claims["number"] = np.array([one.number for one in best], dtype="float64")
    claims["above"] = [one.above for one in best]
    claims["exact"] = [one.exact for one in best]
    _drop_loose(claims, disk, top)
    _drop_disputed(claims, columns)
    return _explained(rows, claims, columns, used, index)


def folder_columns(rows: pd.DataFrame, columns: list[str], disk: list[str], top: str) -> list[str]:
    """Returns the columns of which some value is the name of a folder."""
    above = {file.rpartition("/")[0] for file in disk}
    folders = {_folded(part) for folder in (*above, top) for part in folder.split("/")} - {""}
    values = {name: rows[name].dropna().unique() for name in columns}
    return [name for name in columns if any(_folded(v) in folders for v in values[name])]


def _files_by_folder(disk: list[str], top: str) -> dict[str, set[int]]:
    """Returns the numbers of the files below each name of a folder."""
    inside = defaultdict(set)
    for number, file in enumerate(disk):
        for part in file.split("/")[:-1]:
            inside[_folded(part)].add(number)
    for part in filter(None, (top, *top.split("/"))):
        inside[_folded(part)] = set(range(len(disk)))
    return inside


def _drop_loose(claims: pd.DataFrame, disk: list[str], top: str) -> None:
    """Refuses files in the top folder that were written with folders which disagree.

    `cam1/1.jpg` and `cam2/2.jpg` may not both name files that lie in no folder: which camera's
    photos these are would follow from the folders only.
    """
    bare = {number for number, file in enumerate(disk) if "/" not in file}
    loose = claims["number"].isin(bare) & (claims["above"] != "")
    above = claims.loc[loose, "above"].map(lambda text: _folded(text.rstrip("/")))
    if above.nunique() > 1:
        of_top = above[[bool(top) and _one_ends_with_other(a, _folded(top)) for a in above]]
        claims.loc[above.index.difference(of_top.index), "number"] = float(_SEVERAL)


def _one_ends_with_other(first: str, second: str) -> bool:
    """Returns whether two paths agree in all the folders, from the last on, that both name."""
    first, second = f"/{first}", f"/{second}"
    return first.endswith(second) or second.endswith(first)


def _drop_disputed(claims: pd.DataFrame, columns: list[str]) -> None:
    """Refuses a file that rows name which mean different ones: `cam1/1.jpg` and `cam2/1.jpg`."""
    named = claims[claims["number"] >= 0]
    for _, several in named[named["number"].duplicated(keep=False)].groupby("number"):
        folded = several["written"].map(_folded)
        places = any(several[name].nunique() > 1 for name in columns)
        if folded.nunique() > 1 or places:
            best = several[several["exact"]]
            if places or best["written"].map(_folded).nunique() != 1:
                best = best.iloc[:0]
            claims.loc[several.index.difference(best.index), "number"] = float(_SEVERAL)


def _explained(
    rows: pd.DataFrame, claims: pd.DataFrame, columns: list[str], used: list[str], index: FileIndex
) -> pd.DataFrame:
    """Joins matches with rows, and states the problem of each row that names no one file."""
    there, answers = set(index.files), []
    first = pd.Series(None, claims.index, dtype=object)
    for name in columns:
        first = first.where(first.notna(), claims[name])
    for number, raw, place in zip(claims["number"], claims["raw"], first, strict=True):
        if number >= 0:
            answers.append((index.files[int(number)], None, None))
            continue
        problem = AMBIGUOUS if number == _SEVERAL else MISSING
        apart = isinstance(place, str) and (used or problem == AMBIGUOUS)
        path = f"{place}/{raw}" if apart else raw
        while path in there:  # never another row's file
            path = f"?/{path}"
        answers.append((path, problem, raw))
    matches = pd.DataFrame(answers, columns=["path", "problem", "detail"], dtype=object)
    matches["detail"] = _details(matches, index)
    keys = list(rows.columns)
    claims = pd.concat([claims[keys], matches], axis=1)
    joined = rows.merge(claims, how="left", on=keys)
    return joined[["path", "problem", "detail"]].set_axis(rows.index)


def _details(matches: pd.DataFrame, index: FileIndex) -> pd.Series:
    """Names the candidates for each path without a file."""
    lost = matches[matches["problem"].notna()]
    wanted = {name_key(path) for path in lost["detail"]}
    alike = defaultdict(list)
    for file in index.files if wanted else ():
        if (name := _folded(file.rpartition("/")[2])) in wanted:
            alike[name].append(file)
    details = {}
    for row in lost.itertuples():
        files = alike.get(name_key(row.detail), [])
        several = ", ".join(files[:_LISTED]) + (", ..." if len(files) > _LISTED else "")
        details[row.Index] = several and (
            f"may be {several}" if row.problem == AMBIGUOUS else f"of the same name: {several}"
        )
    return pd.Series(details, dtype=object).reindex(matches.index).replace("", None)


def lost(matched: pd.DataFrame) -> pd.DataFrame:
    """Returns problem and detail of each path that names no file (from `match`), by path."""
    rows = matched[matched["problem"].notna()].drop_duplicates("path").set_index("path")
    return rows[["problem", "detail"]]


def name_key(path: str) -> str:
    """Returns a path's last part in the form that names are compared in."""
    return _folded(path.replace("\\", "/").rpartition("/")[2])


def normalised(path: str) -> str:
    """Returns a path with `/` alone, without `.`, and without `..` where it can be undone."""
    if "\\" not in path and "//" not in path and "./" not in path and path[:1] not in "/":
        return path  # nearly all are
    inner = posixpath.normpath(path.replace("\\", "/").lstrip("/"))
    return "" if inner == "." else inner


def _same(path: str) -> str:
    return path if path.isascii() else unicodedata.normalize("NFC", path)


def _folded(path: str) -> str:
    return _same(path).casefold()


def _stem(path: str) -> str:
    folder, slash, name = _folded(path).rpartition("/")
    stem, dot, ending = name.rpartition(".")
    is_ending = stem and dot and 2 <= len(ending) <= 4 and ending.isascii() and ending.isalnum()
    return f"{folder}{slash}{stem if is_ending else name}"


# How names of the disk and names of rows are compared, the strictest first.
_FORMS = ((_same, _same), (_folded, _folded), (_stem, _folded))
