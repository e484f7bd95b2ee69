"""Finds every file of a collection that may be metadata, and identifies its form."""

import gzip
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import camtrap_dp, cells, forms, lists, paths, sidecars, table
from pipeline.sources.filenames import split_named

SUFFIXES = (*forms.SUFFIXES, *cells.REFUSED)
_ZIPPED = (".zip", ".json.gz", ".csv.gz")
_PACKED = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
_LARGEST = 2**31  # bytes of a zipped JSON once it is unpacked
_NO_PHOTOS = (
    *(*SUFFIXES, *_PACKED, ".txt", ".md", ".pdf", ".xml", ".yaml", ".yml", ".log", ".zip", ".gz"),
    sidecars.XMP,
)
USUAL = ("metadata", "labels", "annotations")
TABLE, PART, SIDECAR = "table", "part of another", "sidecar of one photo"
NO_KNOWN = "no known form"
ARCHIVE, HEADLESS = "archive", "list without a header"
_SAMPLE = 500
_COLUMNS_SHOWN = 12  # in a message


@dataclass(eq=False)
class Metadata:
    """One file that may be metadata.

    Attributes:
        path: Below the collection's top folder.
        kind: The name of its form.
        sheet: The sheets of a spreadsheet that it is of; empty where it is all of the file.
        document: Its content: a frame of texts, or parsed JSON; None if it cannot be read.
        error: Why it cannot be read.
        described: The meaning of its columns, of a table of no special form.
        rows: Its annotations, each path that of a file where it names one.
        lost: Problem and detail of each path that names none, by path.
        beside: Other files that belong to it.
        used_for: Its use; empty if it has none.
        why_not: Why it was not used.
    """

    path: str
    kind: str
    document: Any = None
    error: str = ""
    sheet: str = ""
    described: table.Table | None = None
    rows: pd.DataFrame | None = None
    lost: pd.DataFrame | None = None
    beside: Sequence[str] = ()
    used_for: str = ""
    why_not: str = ""

    @property
    def folder(self) -> str:
        """Returns the folder that the file lies in."""
        return self.path.rpartition("/")[0]

    def inner(self, name: str) -> str:
        """Returns the path below the top folder of a file that it names."""
        return PurePosixPath(self.folder, name).as_posix()

    @property
    def stem(self) -> str:
        """Returns the file's name without its ending, in lower case."""
        return Path(self.path).stem.lower()

    @property
    def split(self) -> str | None:
        """Returns the split that the file or its folder is named after; None if there is none."""
        return split_named(Path(self.path).stem) or split_named(Path(self.folder).name)

    @property
    def photos(self) -> set[str]:
        """Returns the files that the metadata name."""
        return set() if self.rows is None else set(self.rows["path"]) - set(self.lost.index)

    @property
    def columns(self) -> list[str]:
        """Returns the columns of a table; none of any other document."""
        return list(self.document) if isinstance(self.document, pd.DataFrame) else []

    @property
    def shown_columns(self) -> str:
        """Returns the first columns of a table as text, or why there is none."""
        shown = ", ".join(self.columns[:_COLUMNS_SHOWN])
        more = ", ..." if len(self.columns) > _COLUMNS_SHOWN else ""
        return shown + more or self.why_not or "no columns"


def photos(disk: pd.DataFrame) -> pd.Series:
    """Returns the paths of the files that are neither metadata nor documents."""
    paths = disk.loc[disk["problem"].isna(), "path"]
    return paths[~paths.str.lower().str.endswith(_NO_PHOTOS)]


def find(top: Path, disk: pd.DataFrame, columns: Mapping[str, Any]) -> list[Metadata]:
    """Reads all files that may be metadata, at any depth, and identifies their forms.

    They come in the order of their paths. Nothing is matched with photos yet. `disk` are the files
    below the top folder (`folders.Listing.files`), `columns` is `ingest.columns`.
    """
    there = disk.loc[disk["problem"].isna(), "path"]
    pictures = photos(disk)
    names = {paths.name_key(path) for path in pictures}
    likely = there[there.str.lower().str.endswith((*SUFFIXES, *_ZIPPED, *_PACKED, sidecars.XMP))]
    of_one_photo = sidecars.named_after(likely, pictures)
    entries = []
    for path in sorted([*likely, *lists.find(top, there, names)]):
        entries += [Metadata(path, SIDECAR)] if path in of_one_photo else _read(top, path)
    entries = _merged(entries)
    _mark_labels_of_sidecars(top, [one for one in entries if one.path in of_one_photo])
    _mark_headless(top, entries, names)
    for one in entries:  # a form of its own gives way to columns that a person named
        mine = (table.named_columns(one.document, value) for value in columns.values())
        if isinstance(one.document, pd.DataFrame) and any(mine):
            one.kind = TABLE
    parts = {path for one in entries for path in one.beside}
    for one in entries:
        if one.kind == TABLE and one.path in parts:
            one.kind = PART
        elif one.kind == TABLE:
            one.described = table.describe(one.document, columns)
    return entries


def _mark_labels_of_sidecars(top: Path, entries: list[Metadata]) -> None:
    """Marks the first of the sidecars if it holds a label, for all others like it may."""
    for one in entries[:_SAMPLE]:
        if label := sidecars.label(top, one.path):
            one.error = (
                f"{top / one.path} describes one photo, and may label it ({label}), as may "
                f"{len(entries) - 1} others; labels in a file for each photo are not read: write "
                "them into one table, metadata.csv, with file_name and species"
            )
            return


def _mark_headless(top: Path, entries: list[Metadata], names: set[str]) -> None:
    """Marks tables whose first line names a photo, for it is no header and would be lost."""
    for one in entries:
        if one.kind != TABLE or not lists.names_photo(one.columns, names):
            continue
        one.kind = HEADLESS
        rows = [one.columns, *one.document.head(_SAMPLE).fillna("").to_numpy().tolist()]
        if lists.says_more(rows, names):
            one.error = (
                f"{top / one.path} names photos from its first line on: put a line above it that "
                "says what its columns are, such as file,species"
            )
        else:
            one.why_not = "lists photos and nothing else"


def _merged(entries: list[Metadata]) -> list[Metadata]:
    """Makes one of the files that describe a picture each, for thousands are one set."""
    parts = [one for one in entries if one.kind == forms.PASCAL_VOC]
    if not parts:
        return entries
    documents = {one.path: one.document for one in parts}
    folder = os.path.commonpath([one.folder for one in parts])
    path = PurePosixPath(folder, "*.xml").as_posix()
    merged = Metadata(path, forms.PASCAL_VOC, documents, beside=list(documents))
    return [merged, *(one for one in entries if one.kind != forms.PASCAL_VOC)]


def _read(top: Path, path: str) -> list[Metadata]:
    """Loads a file and identifies its form; what cannot be read gets an `error`.

    Returns:
        One; of a spreadsheet one for each set of sheets that have the same columns.
    """
    try:
        if path.lower().endswith(".xlsx"):
            tables = cells.sheets(top / path) or {"": pd.DataFrame()}
            several = [_identified(path, sheet) for sheet in tables.values()]
            for one, name in zip(several, tables, strict=True):
                one.sheet = name if len(tables) > 1 else ""
            return several
        document = _document(top / path)
    except UserError as error:
        document = error
    if document is None:  # of photos, perhaps
        return [Metadata(path, ARCHIVE, why_not="archives in a collection are not read: unpack it")]
    return [_identified(path, document)]


def _identified(path: str, document: Any) -> Metadata:
    """Identifies the form of what a file holds, which may be the error of reading it."""
    if isinstance(document, UserError):
        kind = "not valid JSON" if path.lower().endswith(".json") else "unreadable table"
        return Metadata(path, kind, error=str(document))
    if name := forms.name_of(document):
        beside = camtrap_dp.tables(document) if name == forms.CAMTRAP_DP else ()
        one = Metadata(path, name, document)
        one.beside = [one.inner(table) for table in beside]
        return one
    if isinstance(document, list) and document and all(isinstance(r, dict) for r in document):
        document = cells.texts(pd.DataFrame(document))
    if isinstance(document, pd.DataFrame):
        return Metadata(path, TABLE, document)
    return Metadata(path, f"{Path(path).suffix[1:].upper()} of {NO_KNOWN}", document)


def _document(path: Path) -> Any:
    """Parses a file; returns None for an archive that holds anything but one JSON file."""
    name = path.name.lower()
    if name.endswith(_PACKED):
        return None
    if not name.endswith(_ZIPPED):
        return forms.load(path)
    if name.endswith(".csv.gz"):
        raise UserError(f"{path} is a compressed table: decompress it")
    try:
        if name.endswith(".gz"):
            with gzip.open(path) as file:
                return json.loads(file.read(_LARGEST))
        with zipfile.ZipFile(path) as packed:
            inside = [i for i in packed.infolist() if not i.is_dir()]
            inside = [i for i in inside if not i.filename.startswith("__MACOSX/")]
            if len(inside) != 1 or not inside[0].filename.lower().endswith(".json"):
                return None
            with packed.open(inside[0]) as file:
                return json.loads(file.read(_LARGEST))
    except (ValueError, RecursionError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise forms.invalid(path, "JSON", error) from None


def annotate(one: Metadata, top: Path, disk: pd.DataFrame) -> None:
    """Reads a file's annotations, and matches each with the photo that it names.

    Sets `rows`, `lost` and, where other files belong to it, `beside`.

    Raises:
        UserError: The file does not follow its form.
    """
    files = list(disk.loc[disk["problem"].isna(), "path"])
    if one.described is not None:
        namesake = one.path.rpartition(".")[0]  # cam1.csv speaks of cam1/
        is_folder = any(file.startswith(f"{namesake}/") for file in files)
        folder = namesake if is_folder else one.folder
        one.rows, one.lost = table.read(one.described, files, top.name, folder)
    else:
        rows = _annotations(one, top, files)
        matched = paths.match(rows["path"], files, rows[["location"]], top.name, one.folder)
        one.rows, one.lost = rows.assign(path=matched["path"]), paths.lost(matched)
    if one.split:
        one.rows["split_hint"] = one.rows["split_hint"].fillna(one.split)


def _annotations(one: Metadata, top: Path, files: list[str]) -> pd.DataFrame:
    form, inside = forms.BY_NAME[one.kind], pd.Series(files, dtype="str")
    folder = "" if one.kind == forms.PASCAL_VOC else one.folder  # whose pictures lie beside it
    if folder:
        start = f"{folder}/"
        inside = inside[inside.str.startswith(start)].str.removeprefix(start)
    if form.beside:
        one.beside = [one.inner(name) for name in inside[inside.str.contains(form.beside)]]
    try:
        return form.read(one.document, top / folder, inside)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else error
        raise UserError(
            f"{top / one.path} does not follow the {one.kind} format: {reason}"
        ) from None


def fitting_columns(one: Metadata, disk: pd.DataFrame) -> list[str]:
    """Returns the columns of a table of which most values name files, whatever they are called."""
    names = {paths.name_key(path) for path in photos(disk)}
    names |= {name.rpartition(".")[0] for name in names}
    fitting = []
    for column in one.columns:
        values = one.document[column].dropna().unique()[:_SAMPLE]
        fits = sum(paths.name_key(value) in names for value in values)
        if len(values) > 1 and 2 * fits >= len(values):
            fitting.append(column)
    return fitting


def folder_columns(one: Metadata, disk: pd.DataFrame) -> list[str]:
    """Returns the columns of a table that hold names of folders."""
    inner = {paths.name_key(part) for path in photos(disk) for part in path.split("/")[:-1]}
    return [
        column
        for column in one.columns
        if any(paths.name_key(value) in inner for value in one.document[column].dropna().unique())
    ]


def names_in(document: Any, disk: pd.DataFrame) -> int:
    """Returns how many photos' names a document of no known form holds.

    Aliases of YAML let one part of it stand in many places, even in itself; it is read once.
    """
    keys = [paths.name_key(path) for path in photos(disk)]
    names = set(keys)
    named, todo, seen = set(), [document], set()
    while todo:
        value = todo.pop()
        if isinstance(value, dict | list):
            if id(value) in seen:
                continue
            seen.add(id(value))
        if isinstance(value, dict):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            todo += value
        elif isinstance(value, str) and paths.name_key(value) in names:
            named.add(paths.name_key(value))
    return sum(key in named for key in keys)


def report(entries: Sequence[Metadata]) -> pd.DataFrame:
    """Returns a table of the metadata: what each was taken and used for, and how much fits."""
    columns = {
        "file": [one.path for one in entries],
        "taken_for": [
            f"{one.kind} (sheet {one.sheet})" if one.sheet else one.kind for one in entries
        ],
        "used_for": [one.used_for for one in entries],
        "why_not": [one.why_not or one.error for one in entries],
        "names": [None if one.rows is None else one.rows["path"].nunique() for one in entries],
        "names_that_fit": [None if one.rows is None else len(one.photos) for one in entries],
        "columns": [", ".join(one.columns) for one in entries],
    }
    return pd.DataFrame(columns).astype({"names": "Int64", "names_that_fit": "Int64"})
