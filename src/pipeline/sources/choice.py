"""Chooses where the labels of a collection come from, or reports what a person has to decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import annotations, folders, keywords, labels, metadata, paths, table
from pipeline.sources.metadata import Metadata

_SHOWN = 12  # columns in a message
_COULD_LABEL = (*metadata.SUFFIXES, *metadata.TEXTS, keywords.SUFFIX, ".gz", ".zip")
_LOOKED_AT = 40  # photos, for keywords in them


@dataclass(frozen=True)
class Rules:
    """The params for reading a collection.

    Attributes:
        labels: `ingest.labels`: the new name of each species; null drops it. Defaults to none.
        columns: `ingest.columns`: columns of tables by their meaning. Defaults to none.
        species_from: `ingest.species_from`: `auto`, `metadata`, or `folder:N`.
        chosen: The metadata that a person named as the source, below the top folder; None for none.
    """

    labels: Mapping[str, str | None] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    species_from: str = "auto"
    chosen: str | None = None

    @property
    def level(self) -> int | None:
        """Returns the level of the folder that names the species, 1 for the uppermost, or None."""
        kind, _, level = self.species_from.partition(":")
        return int(level) if kind == "folder" else None


def label_sources(
    top: Path, disk: pd.DataFrame, entries: Sequence[Metadata], rules: Rules
) -> list[Metadata]:
    """Chooses the metadata that label the photos; none where folders do.

    Args:
        top: The collection's top folder.
        disk: Its files.
        entries: The collection's metadata, from `metadata.find`. The chosen ones are matched with
            the photos, and each records its use or why it has none.
        rules: The params.

    Returns:
        The chosen ones. Their rows have a `species` each, or folders name it.

    Raises:
        UserError: Several readings are possible, or the named file cannot be read; the message
            lists the files, and the lines of params.yaml that decide.
    """
    _require_columns(entries, rules.columns)
    named = [one for one in entries if one.path == rules.chosen]
    candidates = named or list(entries)
    if named and all(one.error for one in named):
        raise UserError(named[0].error)
    documents = _documents(top, disk, candidates)
    if documents and rules.level is None:
        return _used(documents, "labels")
    tables = _tables(top, disk, candidates, rules)
    if rules.level is not None:
        return _used(
            _fullest([one for one in tables if _is_wide(one, disk, named)]), "other columns"
        )
    chosen = _choose(top, [one for one in tables if one.described.has_species], rules)
    if chosen and (named or _are_wide(chosen, disk)):
        return _used(chosen, "labels")
    _require_understood(top, disk, candidates, rules, bool(named))
    _require_no_lists(top, disk, candidates)
    if not chosen:
        usual = [one for one in tables if named or one.stem in metadata.USUAL]
        chosen = _fullest([one for one in usual if one.photos])
        if chosen:
            folders.require_one_reading(top, disk)
            return _used(chosen, "columns beside the folders' species")
    if rules.species_from == "metadata":
        raise UserError(
            f"{top}: ingest.species_from is metadata, but no file here labels the photos; "
            f"{_seen(entries)}"
        )
    _require_agreement(top, disk, chosen)
    _require_no_keywords(top, disk)
    folders.require_one_reading(top, disk)
    return []


def _used(chosen: list[Metadata], what: str) -> list[Metadata]:
    for one in chosen:
        one.used_for, one.why_not = what, ""
    return chosen


def _documents(top: Path, disk: pd.DataFrame, candidates: list[Metadata]) -> list[Metadata]:
    """Returns documents in a form of their own: one package, or all of the first form."""
    plain = ("table", "MegaDetector", metadata.SIDECAR, "part of another", *metadata.UNREAD)
    special = [
        one
        for one in candidates
        if not one.error and one.kind not in plain and "no known form" not in one.kind
    ]
    order = ["Camtrap DP", "COCO Camera Traps", *(one.kind for one in special)]
    kind = next((kind for kind in order if any(one.kind == kind for one in special)), None)
    chosen = []
    for one in special:
        if one.kind != kind or (kind == "Camtrap DP" and chosen):
            one.why_not = f"labels come from {chosen[0].path if chosen else kind}"
            continue
        metadata.annotate(one, top, disk)
        if (
            one.rows["species"].notna().any()
            or one.rows["reason"].notna().any()
            or kind == "Camtrap DP"
        ):
            chosen.append(one)
        else:
            one.why_not = "labels no photo"
    return chosen or [one for one in special if one.rows is not None]


def _tables(
    top: Path, disk: pd.DataFrame, candidates: list[Metadata], rules: Rules
) -> list[Metadata]:
    """Returns the tables that name photos, matched with them."""
    tables = []
    for one in candidates:
        if one.described is None or one.error:
            continue
        mine = rules.columns.get("species")
        if mine is not None and table.named_columns(one.document, mine) is None:
            one.described.species, one.described.flags = None, []
        metadata.annotate(one, top, disk)
        if one.photos:
            tables.append(one)
        else:
            one.why_not = "no column names a file that is here"
    return tables


def _require_columns(entries: Sequence[Metadata], columns: Mapping[str, Any]) -> None:
    tables = [one for one in entries if one.columns]
    for key, value in columns.items():
        if all(table.named_columns(one.document, value) is None for one in tables):
            names = value if isinstance(value, str) else ", ".join(value)
            raise UserError(
                f"ingest.columns: {key} is {names}, but no table has such columns; {_seen(tables)}"
            )


def _seen(entries: Sequence[Metadata]) -> str:
    """Lists the metadata as text."""
    seen = [f"{one.path} ({one.kind}: {_columns(one)})" for one in entries]
    return f"there is {'; '.join(seen)}" if seen else "there is no table or JSON"


def _columns(one: Metadata) -> str:
    shown = ", ".join(one.columns[:_SHOWN])
    return shown + (", ..." if len(one.columns) > _SHOWN else "") or one.why_not or "no columns"


def _is_wide(one: Metadata, disk: pd.DataFrame, named: Sequence[Metadata] = ()) -> bool:
    return one in named or one.stem in metadata.USUAL or _are_wide([one], disk)


def _are_wide(chosen: Sequence[Metadata], disk: pd.DataFrame) -> bool:
    """Returns whether metadata describe the collection, and not only a few of its photos."""
    if any(one.stem in metadata.USUAL for one in chosen):
        return True
    pictures = set(metadata.photos(disk))
    covered = set().union(*(one.photos for one in chosen)) & pictures
    return bool(covered) and 2 * len(covered) >= len(pictures)


def _fullest(tables: list[Metadata]) -> list[Metadata]:
    return sorted(tables, key=lambda one: (-len(one.photos), one.path))[:1]


def _choose(top: Path, tables: list[Metadata], rules: Rules) -> list[Metadata]:
    """Returns the table with most photos and those with other photos; or one for each split."""
    of_split = [one for one in tables if one.split]
    if len(of_split) > 1:
        return of_split
    taken: list[Metadata] = []
    for one in sorted(tables, key=lambda one: (-len(one.photos), one.path)):
        rival = next((other for other in taken if other.photos & one.photos), None)
        if rival is None:
            taken.append(one)
            continue
        both = rival.photos & one.photos
        differ = _differing(rival, one, both)
        one.why_not = f"names {len(both)} photos that {rival.path} names too"
        one.why_not += f", {len(differ)} of them otherwise" if differ else ""
        if differ and len(rival.photos) == len(one.photos):
            raise UserError(
                f"{top}: {rival.path} and {one.path} name the same {len(both)} photos, and "
                f"{len(differ)} of them, such as {differ[0]}, differ in species; "
                "set ingest.source to the correct one, or remove the other"
            )
    return taken


def _differing(first: Metadata, second: Metadata, both: set[str]) -> list[str]:
    pairs = [_species(one.rows[one.rows["path"].isin(both)]) for one in (first, second)]
    return sorted(path for path in both if pairs[0].get(path) != pairs[1].get(path))


def _species(rows: pd.DataFrame) -> dict[str, set[str]]:
    """Returns the names that each photo has, as they are compared."""
    known = rows[["path", "species"]].dropna()
    names = known["species"].map(labels.comparable)
    return names.groupby(known["path"]).agg(set).to_dict()


def _require_agreement(top: Path, disk: pd.DataFrame, chosen: list[Metadata]) -> None:
    """Checks that tables of a few photos agree with the photos' folders.

    Raises:
        UserError: They do not.
    """
    for one in chosen:
        theirs = _species(one.rows[one.rows["path"].isin(one.photos)])
        ours = _species(folders.read(top, disk))
        differ = sorted(path for path in theirs if theirs[path] != ours.get(path))
        if differ:
            names = ", ".join(sorted(theirs[differ[0]]))
            folder = ", ".join(sorted(ours.get(differ[0], ["nothing"])))
            lines = [
                f"  ingest.source: {top / one.path}   # the table alone",
                *folders.readings(disk),
            ]
            raise UserError(
                f"{top / one.path} names {len(one.photos)} of {len(metadata.photos(disk))} photos, "
                f"and calls {differ[0]} {names}, where its folder says {folder}; write into "
                "params.yaml one of\n" + "\n".join(lines)
            )
        one.why_not = f"names {len(one.photos)} photos only, and agrees with their folders"


def _require_understood(
    top: Path, disk: pd.DataFrame, candidates: list[Metadata], rules: Rules, is_named: bool
) -> None:
    """Checks that no file that may label the photos is ignored.

    Raises:
        UserError: One is; the message says what it holds, and which lines of params.yaml decide.
    """
    pictures = len(metadata.photos(disk))
    for one in candidates:
        if one.error:
            if one.path.lower().endswith(_COULD_LABEL) or is_named:
                raise UserError(one.error + _or_folders(disk))
            continue
        if one.described is not None and (one.described.has_species and one.photos):
            continue  # understood, though of few photos
        if one.described is not None:
            species, files, fits = _may_decide(one, disk)
            may_decide = bool(species) and 2 * fits >= min(pictures, len(one.document))
        elif "no known form" in one.kind:
            species, files = [], []
            fits = metadata.names_in(one.document, disk)
            may_decide = 2 * fits >= pictures > 0
        else:
            continue
        one.why_not = one.why_not or "no column names the species"
        if is_named or may_decide:
            raise UserError(_undecided(top, disk, one, species, files, fits))


def _require_no_lists(top: Path, disk: pd.DataFrame, candidates: list[Metadata]) -> None:
    """Checks that no files list different photos each, as one of each species would.

    Raises:
        UserError: Some do, and folders are not called as they are.
    """
    lists = {}
    for one in candidates:
        is_list = one.kind == metadata.HEADLESS or (one.described and not one.described.has_species)
        if is_list and not one.split and (listed := metadata.photos_in(one, disk)):
            lists[one.path] = listed
    several = set().union(*lists.values())
    inner = {labels.comparable(part) for path in several for part in path.split("/")[:-1]}
    stems = {labels.comparable(Path(path).stem) for path in lists}
    is_apart = len(several) == sum(map(len, lists.values()))
    is_most = 2 * len(several) >= len(metadata.photos(disk))
    if len(lists) > 1 and is_apart and is_most and not stems <= inner:
        names = " and ".join(sorted(lists)[:_SHOWN])
        raise UserError(
            f"{top}: {names} list different photos and no species, so that each may be of one: "
            "write them into one table, metadata.csv, with file_name and species"
            + _or_folders(disk)
        )


def _require_no_keywords(top: Path, disk: pd.DataFrame) -> None:
    """Checks, on a sample, that most photos do not hold keywords which their folders are not.

    Raises:
        UserError: Most do, as where somebody tagged what each shows.
    """
    pictures = metadata.photos(disk)
    sample = pictures.iloc[:: max(1, len(pictures) // _LOOKED_AT)]
    tagged = {path: words for path in sample if (words := metadata.unlike_folders(top, path))}
    if 2 * len(tagged) > len(sample):
        path, words = next(iter(tagged.items()))
        raise UserError(
            f"{len(tagged)} of {len(sample)} photos looked at hold keywords other than the names "
            f"of their folders, such as {top / path}: {', '.join(words[:_SHOWN])}; keywords are "
            "not read: write what the photos show into a table, metadata.csv, with file_name and "
            "species" + _or_folders(disk)
        )


def _or_folders(disk: pd.DataFrame) -> str:
    """Returns the end of a message: the lines of params.yaml by which folders are the species."""
    lines = folders.readings(disk)
    return "; or write into params.yaml\n" + "\n".join(lines) if lines else ""


def _may_decide(one: Metadata, disk: pd.DataFrame) -> tuple[list[str], list[str], int]:
    """Returns columns that may be the species and the file, and how many photos fit."""
    described = one.described
    files: list[str] = []
    if one.photos:
        fits = len(one.photos)
    else:
        files = metadata.fitting_columns(one, disk)
        fits = len(one.document) if files or _records_species(one, disk) else 0
    apart = {*files, *metadata.folder_columns(one, disk)}
    species = [name for name in described.may_be_species if name not in apart]
    if described.species is not None:
        species = [described.species]
    return species or described.flags, files, fits


def _records_species(one: Metadata, disk: pd.DataFrame) -> bool:
    """Returns whether a table with species is one of photos or sightings, though of none here.

    Its cells look like names of files; or it names species again and again, and folders are not
    called as these are. A list of species has each of them once.
    """
    described = one.described
    if not described.has_species:
        return False
    of_files = [one.document[name].str.contains(r"\.[A-Za-z]{3,4}$") for _, name in described.files]
    if any(fits.mean() > 0.5 for fits in of_files):
        return True
    seen = one.document[described.species or described.flags[0]].dropna().map(labels.comparable)
    upper = {path.partition("/")[0] for path in metadata.photos(disk) if "/" in path}
    named = {labels.comparable(name) for name in upper} & set(seen)
    return bool(seen.duplicated().any()) and 2 * len(named) < max(1, len(upper))


def _undecided(
    top: Path,
    disk: pd.DataFrame,
    one: Metadata,
    species: list[str],
    files: list[str],
    fits: int,
) -> str:
    """Describes a file that may hold the labels, and the lines of params.yaml that decide."""
    if one.described is None:
        what = f"is {one.kind}, and holds the names of {fits} photos"
    elif one.photos:
        what = (
            f"names {len(one.photos)} photos, and no column has a usual name of species; it has "
            f"{_columns(one)}"
        )
    else:
        what = f"names no photo that is here by a column of a usual name; it has {_columns(one)}"
        for path, detail in one.lost["detail"].dropna().head(1).items():
            what += f"; {path} {detail}"
    lines = _column_lines(one, disk, species, files) + folders.readings(disk)
    advice = (
        []
        if one.described
        else ["write them into a table, metadata.csv, with file_name and species"]
    )
    advice += ["write into params.yaml one of\n" + "\n".join(lines)] if lines else []
    return f"{top / one.path} {what}; {'; or '.join(advice)}"


def _column_lines(
    one: Metadata, disk: pd.DataFrame, species: list[str], files: list[str]
) -> list[str]:
    """Returns the lines of params.yaml that name a table's columns."""
    if one.described is None:
        return []
    names = dict(one.described.named)
    if files or not (one.photos or "file" in names or one.lost["detail"].notna().any()):
        names["file"] = files[0] if files else "..."
        keys = metadata.photos(disk).map(paths.name_key)
        if files and keys.duplicated().any() and (columns := metadata.folder_columns(one, disk)):
            names["folder"] = columns[0]  # bare names would fit several photos
    if not one.photos and one.lost["detail"].notna().any():
        columns = metadata.folder_columns(one, disk)
        if not columns and not any(folder for folder, _ in one.described.files):
            return []  # the folders within the paths are others: no column mends that
        names |= {"folder": columns[0]} if columns else {}
    lines = []
    for name in species[:3]:
        line = names | {"species": name}
        text = ", ".join(f"{key}: {_written(v)}" for key, v in line.items())
        lines.append(f"  ingest.columns: {{{text}}}")
    flags = [name for name in species if table.is_flag(one.document[name])]
    if len(flags) > 1:
        text = ", ".join(map(annotations.written, flags))
        lines.append(f"  ingest.columns: {{species: [{text}]}}   # columns of 0 and 1")
    return lines or ["  ingest.columns: {file: ..., species: ...}"]


def _written(columns: str | Sequence[str]) -> str:
    if isinstance(columns, str):
        return annotations.written(columns)
    return f"[{', '.join(map(annotations.written, columns))}]"
