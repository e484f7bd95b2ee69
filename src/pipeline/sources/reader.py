"""Brings a collection onto the disk, and lists what is in it, whatever form it has."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pipeline.core import atomic, params, workspace
from pipeline.core.errors import UserError
from pipeline.sources import annotations, archive, choice, folders, forms, metadata, sides
from pipeline.sources.choice import Rules
from pipeline.sources.filenames import METADATA
from pipeline.sources.recipes import recipe

_PRINTED = 20  # lines about metadata; the report has them all
# Folders, and the files beside them that list what was put there.
_LISTINGS = {"files": "gathered.json", "clips": "clips.json"}
_TABLES = (workspace.COLLECTION, "manifest.parquet", "appearance.parquet")
_WRITTEN = (*_LISTINGS, *_LISTINGS.values(), *_TABLES)


@dataclass(frozen=True)
class Collection:
    """The content of a collection.

    Attributes:
        files: A row a file on the disk or in the metadata, in the order of their paths below the
            top folder: path, species, reason (why nothing can be learned from it whatever its
            bytes are; null where it can be tried), detail, group, location, taken_at (ISO 8601),
            split_hint, licence, class, order, family, genus, and boxes (a tuple of (x, y, w, h),
            in shares of the sides, or in pixels where a number is above 2; null where none is
            known), and other_sides: whether the photo's sides are others than those of the picture
            that was annotated.
        metadata: A row for each file that may be metadata (`metadata.report`).
        ignored: The number of files by the hidden or system folder that they lie in.
        notes: Sentences on times in the metadata.
    """

    files: pd.DataFrame
    metadata: pd.DataFrame
    ignored: dict[str, int]
    notes: Sequence[str] = ()

    def describe(self) -> str:
        """Describes the files that are not photos, a line each."""
        lines = []
        for row in self.metadata.head(_PRINTED).itertuples():
            fits = "" if pd.isna(row.names) else f", {row.names_that_fit} of {row.names} names fit"
            use = f"used for {row.used_for}" if row.used_for else f"not used: {row.why_not}"
            lines.append(f"{row.file}: {row.taken_for}{fits}; {use}")
        if len(self.metadata) > _PRINTED:
            lines.append(f"... {len(self.metadata) - _PRINTED} more in reports/ingest/metadata.csv")
        lines += [f"ignored: {name} ({count} files)" for name, count in self.ignored.items()]
        return "\n".join([*lines, *self.notes])


def choose(source: Path) -> Path:
    """Makes a collection the one that the project in the current folder learns from.

    Args:
        source: The collection, as a person named it.

    Returns:
        Its path in `params.yaml`, which is relative where the project holds it.

    Raises:
        UserError: It cannot be the source, or `params.yaml` has a mistake; nothing is changed.
    """
    if not source.exists():
        raise UserError(f"there is no {source}")
    folders.require_apart(str(source))
    if recipe.is_recipe(source):
        recipe.read(source)  # a mistake in it shows here, and not in the next run
    here, source = Path.cwd(), source.resolve()
    name = source.relative_to(here) if source.is_relative_to(here) else source
    params.set_source(name.as_posix())
    return name


def clear(source: str, folder: Path) -> None:
    """Removes what an earlier run gathered in `folder`, once it is certain that no more goes.

    Raises:
        UserError: The source lies in what the project writes or holds it, or `folder` has
            something in it that ingest did not write.
    """
    folders.require_apart(source)
    # A killed run leaves what it was writing.
    atomic.require_only(folder, (*_WRITTEN, *(f".{name}.*partial" for name in _WRITTEN)))
    for name, listing in _LISTINGS.items():
        path = folder / listing
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        if added := atomic.files_below(folder / name) - set(known):
            raise UserError(
                f"{folder / name} holds {min(added)}, which ingest did not put there, and is about "
                "to be removed: move it elsewhere"
            )
    # The files go before the listing: what a killed run leaves of them is still listed.
    atomic.clear(*(folder / name for name in _LISTINGS), folder)


def gather(source: str, files: Path, rules: Rules, jobs: int) -> Collection:
    """Brings a collection onto the disk where it is not there yet, and reads it.

    Args:
        source: `ingest.source` of the params.
        files: Folder for what has to be unpacked, fetched or drawn. It is made in any case.
        rules: The params. `chosen` is set here.
        jobs: Processes to use.

    Raises:
        UserError: There is no such source, or it cannot be read as a collection.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(f"ingest.source is {source}: there is no such file or folder")
    is_metadata = path.suffix.lower() in METADATA and path.is_file()
    with atomic.atomic_write(files) as partial:
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
        write_listing(partial, files)
    rules = replace(rules, chosen=path.name if is_metadata else None)
    try:
        return read(folders.root(source, files), rules, jobs)
    except PermissionError as error:
        raise UserError(f"{error.filename} may not be read; give yourself the right to") from None


def write_listing(folder: Path, name: Path) -> None:
    """Writes down what ingest put into a folder, so that nothing else is ever removed with it.

    The folder is still to be renamed to `name`.
    """
    with atomic.atomic_write(name.with_name(_LISTINGS[name.name])) as listing:
        listing.write_text(json.dumps(sorted(atomic.files_below(folder))), encoding="utf-8")


def read(top: Path, rules: Rules, jobs: int = 1) -> Collection:
    """Lists the files below the top folder, and what metadata or names of folders say of them.

    Args:
        top: The folder.
        rules: The params.
        jobs: Processes to use. Defaults to 1.

    Raises:
        UserError: It cannot be read as a collection, or `rules` do not fit it.
    """
    disk, ignored = folders.listed(top)
    entries = metadata.find(top, disk, rules.columns)
    archives = disk["path"].isin([one.path for one in entries if one.kind == metadata.ARCHIVE])
    disk.loc[archives, "problem"] = "archive"
    sources = choice.label_sources(top, disk, entries, rules)
    detected = [one for one in entries if one.kind == forms.MEGADETECTOR]
    for one in detected:
        metadata.annotate(one, top, disk)
        one.used_for = "boxes"
    used = [*sources, *detected]
    beside = {path for one in used for path in one.beside}
    for one in entries:
        if one.path in beside and not one.used_for:
            one.used_for = metadata.PART
        elif not one.used_for and not one.why_not:
            one.why_not = _why_not(one, sources)
    disk = disk[~disk["path"].isin(beside | {one.path for one in used})]

    rows = pd.concat([annotations.frame(path=[]), *(one.rows for one in sources)])
    files = _joined(top, disk, sources, rows, rules, jobs)
    for one in detected:
        boxes = annotations.boxes(one.rows).reindex(files.index)
        files["boxes"] = files["boxes"].where(files["boxes"].notna(), boxes)
    columns = ["species", "reason", "detail", *annotations.FIELDS, "boxes", "other_sides"]
    files = files[columns].rename_axis("path").reset_index()
    return Collection(files, metadata.report(entries), ignored, _notes(rows))


def _notes(rows: pd.DataFrame) -> list[str]:
    """Says how many times of annotations have no zone, and how many cannot be read."""
    notes = []
    zones = rows[rows["taken_at"].notna()].drop_duplicates("path")["zone"]
    if len(zones):
        notes.append(
            f"{zones.isna().sum():,} of {len(zones):,} times in the metadata have no time zone; "
            "all are taken as the camera's own clock shows them"
        )
    unread = rows.drop_duplicates("path")["unread_time"].dropna()
    if len(unread):
        notes.append(
            f"{len(unread):,} times in the metadata cannot be read, such as {unread.iloc[0]}: "
            "write the year first, 2024-05-31 18:30:00"
        )
    return notes


def _why_not(one: metadata.Metadata, sources: list[metadata.Metadata]) -> str:
    if one.kind == metadata.SIDECAR:
        return "speaks of one photo alone"
    if sources:
        return f"labels come from {sources[0].path}"
    return "nothing in it names photos and species"


def _joined(
    top: Path,
    disk: pd.DataFrame,
    sources: list[metadata.Metadata],
    rows: pd.DataFrame,
    rules: Rules,
    jobs: int,
) -> pd.DataFrame:
    """Joins the files on the disk with what metadata or folders say of them; indexed by path."""
    of_folders = all(one.used_for != "labels" for one in sources)
    if of_folders:
        rows = _beside(folders.read(top, disk, rules.level), rows)
    rows = annotations.relabelled(rows, rules.labels, rules.reviewed)
    rows["split_hint"] = rows["split_hint"].fillna(folders.splits(rows["path"]))
    rows, other_sides = sides.compare(rows.reset_index(drop=True), top, jobs)
    labelled = annotations.settled(rows).assign(labelled=True)
    files = labelled.join(disk.set_index("path").assign(there=True), how="outer").sort_index()
    absent = files["there"].isna() & ~files["reason"].isin(annotations.ABSENT)
    if sources:
        lost = pd.concat([one.lost for one in sources])
        lost = lost[~lost.index.duplicated()].reindex(files.index[absent])
        files.loc[absent, "reason"] = lost["problem"].fillna("missing_file")
        files.loc[absent, "detail"] = lost["detail"]
    stray = "outside_class_folders" if of_folders and not sources else "not_in_metadata"
    files.loc[files["labelled"].isna(), "reason"] = stray
    files["reason"] = files["problem"].where(files["problem"].notna(), files["reason"])
    return files.assign(other_sides=files.index.isin(other_sides))


def _beside(by_folder: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the folders' species, with what metadata say of the same files besides."""
    others = by_folder.set_index("path")
    rows = rows.assign(species=rows["path"].map(others["species"]))
    rows["location"] = rows["location"].fillna(rows["path"].map(others["location"]))
    rest = by_folder[~by_folder["path"].isin(rows["path"])]
    return pd.concat([rows, rest], ignore_index=True)
