"""Bringing a collection onto the disk, and listing what is in it, whatever form it has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from pipeline.core import atomic
from pipeline.core.errors import UserError
from pipeline.sources import annotations, archive, camtrap_dp, coco, folders, megadetector, table
from pipeline.sources.filenames import METADATA, split_named
from pipeline.sources.recipes import recipe

T = TypeVar("T")
_USUAL = ("metadata", "labels", "annotations")


def clear(source: str, folder: Path) -> None:
    """Removes what an earlier run gathered, once it is certain that this is all that goes.

    Args:
        source: `ingest.source` of the params.
        folder: Where ingest writes.

    Raises:
        UserError: The source lies in what the project writes or holds it, or `folder` has
            something in it that ingest did not write.
    """
    folders.require_apart(source)
    atomic.require_only(folder, ("files", "manifest.parquet", "appearance.parquet"))
    atomic.clear(folder)


def gather(source: str, files: Path, labels: dict[str, str | None], jobs: int) -> pd.DataFrame:
    """Brings a collection onto the disk where it is not there yet, and lists its files.

    Args:
        source: `ingest.source` of the params.
        files: Folder for what has to be unpacked, fetched or drawn. It is made in any case.
        labels: `ingest.labels` of the params.
        jobs: Processes to use.

    Returns:
        What `found` gives.

    Raises:
        UserError: There is no such source, or it cannot be read as a collection.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(f"ingest.source is {source}, and there is no such file or folder")
    is_metadata = path.suffix.lower() in METADATA and path.is_file()
    with atomic.whole(files) as partial:
        partial.mkdir()
        if path.is_dir() or is_metadata:
            pass  # photos stay where they are
        elif archive.is_archive(path):
            archive.unpack(path, partial)
        elif recipe.is_recipe(path):
            recipe.follow(path, partial, jobs)
        else:
            raise UserError(
                f"ingest.source is {source}, which is neither a folder, nor a zip or tar, nor a "
                f"table or JSON that speaks of photos ({', '.join(METADATA)}), nor a recipe (.yaml)"
            )
    try:
        return found(folders.root(source, files), labels, path if is_metadata else None)
    except PermissionError as error:
        raise UserError(f"{error.filename} may not be read; give yourself the right to") from None


def found(
    top: Path, labels: dict[str, str | None] | None = None, chosen: Path | None = None
) -> pd.DataFrame:
    """Lists the files of a collection, and what its metadata or folders say of them.

    Args:
        top: Its top folder.
        labels: What species are renamed to; null drops one. Defaults to none.
        chosen: The metadata to go by. Defaults to those that are found in `top`.

    Returns:
        A row a file on the disk or in the metadata, in the order of their paths below `top`: path,
        species, reason (why nothing can be learned from it whatever its bytes are; null where it
        can be tried), detail, group, location, taken_at (ISO 8601), split_hint, licence, and boxes
        (a tuple of (x, y, w, h), in shares of the sides, or in pixels where a number is above 2;
        null where none is known).

    Raises:
        UserError: It cannot be read as a collection, or `labels` do not fit it.
    """
    disk = folders.listed(top)
    speaking = [top / path for path in _metadata(disk)]
    documents = {path: _document(path) for path in speaking if path.suffix.lower() == ".json"}
    detected = [path for path, document in documents.items() if megadetector.is_one(document)]
    rows, read, stray = _said(top, disk, [chosen] if chosen else speaking, chosen, documents)
    read = {path.relative_to(top).as_posix() for path in [*read, *detected]}
    disk = disk[~disk["path"].isin(read)]

    rows = annotations.relabelled(rows, labels or {})
    rows["path"] = annotations.located(rows["path"], disk["path"])
    rows["split_hint"] = rows["split_hint"].fillna(folders.splits(rows["path"]))
    said = annotations.settled(rows).assign(said=True)
    files = said.join(disk.set_index("path").assign(there=True), how="outer").sort_index()
    absent = files["there"].isna() & ~files["reason"].isin(annotations.ABSENT)
    files.loc[absent, "reason"] = "missing_file"
    files.loc[files["said"].isna(), "reason"] = stray
    files["reason"] = files["problem"].where(files["problem"].notna(), files["reason"])
    for path in detected:
        boxes = _below(top, path, _read(megadetector.read, path, documents[path]))
        boxes["path"] = annotations.located(boxes["path"], disk["path"])
        boxes = annotations.boxes(boxes).reindex(files.index)
        files["boxes"] = files["boxes"].where(files["boxes"].notna(), boxes)
    columns = ["species", "reason", "detail", *annotations.FIELDS, "boxes"]
    return files[columns].rename_axis("path").reset_index()


def _metadata(disk: pd.DataFrame) -> list[str]:
    """The files that may speak of photos: those in the top folder and in the folders of splits."""
    paths = disk.loc[disk["problem"].isna(), "path"]
    paths = paths[paths.str.lower().str.endswith(METADATA)]
    depth = paths.str.count("/")
    return list(paths[(depth == 0) | ((depth == 1) & folders.splits(disk["path"]).notna())])


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}; mend it, or take it away") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _read(form: Callable[..., T], path: Path, *document: Any) -> T:
    """Reads metadata; what they hold where something else should stand is a person's mistake."""
    try:
        return form(*document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be understood: {error!r}") from None


def _said(
    top: Path,
    disk: pd.DataFrame,
    speaking: list[Path],
    chosen: Path | None,
    documents: dict[Path, Any],
) -> tuple[pd.DataFrame, list[Path], str]:
    """Annotations, the files that they came from, and why a file without any is left out."""
    forms = {path: documents[path] for path in speaking if path in documents}
    for path, document in forms.items():
        if camtrap_dp.is_one(document):
            rows, tables = _read(camtrap_dp.read, path, path.parent, document)
            return rows, [path, *tables], "not_in_metadata"
    parts = {
        path: _below(top, path, _read(coco.read, path, document))
        for path, document in forms.items()
        if coco.is_one(document)
    }
    if parts := parts or _tables(top, disk, speaking, chosen):
        return pd.concat(parts.values(), ignore_index=True), list(parts), "not_in_metadata"
    return folders.read(top, disk), [], "outside_class_folders"


def _below(top: Path, path: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with their paths as seen from `top`, and the split that the metadata are named after."""
    split = split_named(path.stem) or split_named(path.parent.name)
    if path.parent != top:
        rows["path"] = f"{path.parent.name}/" + rows["path"]
    return rows.assign(split_hint=rows["split_hint"].fillna(split) if split else rows["split_hint"])


def _tables(
    top: Path, disk: pd.DataFrame, speaking: list[Path], chosen: Path | None
) -> dict[Path, pd.DataFrame]:
    """The table that speaks of most photos, or one for each split; nothing if there is none.

    A table of another name than usual must speak of half of the files, lest a list of a few of
    them be taken for the collection. One without species takes them from the class folders.
    """
    tables, counts = {}, {}
    of_split = [path for path in speaking if split_named(path.stem) or path.parent != top]
    for path in speaking:
        if path.suffix.lower() not in table.SUFFIXES:
            continue
        rows = _read(table.read, path, path)
        usual = path == chosen or path.stem.lower() in _USUAL
        if "path" not in rows or not ("species" in rows or usual):
            continue
        rows = _below(top, path, rows)
        rows["path"] = annotations.located(rows["path"], disk["path"])
        if "species" not in rows:
            by_folder = folders.read(top, disk).set_index("path")["species"]
            rows["species"] = rows["path"].map(by_folder)
        count = len(pd.Index(disk["path"]).intersection(rows["path"]))
        if usual or path in of_split or 2 * count >= disk["problem"].isna().sum():
            tables[path], counts[path] = rows, count
    if sum(path in tables for path in of_split) > 1:
        return {path: rows for path, rows in tables.items() if path in of_split}
    return {path: tables[path] for path in sorted(tables, key=lambda p: -counts[p])[:1]}
