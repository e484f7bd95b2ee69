"""Checks that nothing which may label the photos is passed over where folders would label them.

Each check stops with what a file holds, and with the lines of params.yaml that decide.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import annotations, folders, labels, lists, metadata, paths, sidecars, table
from pipeline.sources.metadata import Metadata

_SHOWN = 12  # names in a message
_COULD_LABEL = (*metadata.SUFFIXES, *lists.SUFFIXES, sidecars.XMP, ".gz", ".zip")
_LOOKED_AT = 40  # photos, for keywords in them


def require_agreement(top: Path, disk: pd.DataFrame, chosen: list[Metadata]) -> None:
    """Checks that tables of a few photos agree with the photos' folders.

    Raises:
        UserError: They do not.
    """
    for one in chosen:
        theirs = labels.of_photos(one.rows[one.rows["path"].isin(one.photos)])
        ours = labels.of_photos(folders.read(top, disk))
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


def require_understood(
    top: Path, disk: pd.DataFrame, candidates: list[Metadata], is_named: bool
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
        if one.described is not None:
            if one.described.has_species and one.photos:
                continue  # understood, though of few photos
            species, files, fits = _may_decide(one, disk)
            may_decide = bool(species) and 2 * fits >= min(pictures, len(one.document))
        elif metadata.NO_KNOWN in one.kind:
            species, files = [], []
            fits = metadata.names_in(one.document, disk)
            may_decide = 2 * fits >= pictures > 0
        else:
            continue
        one.why_not = one.why_not or "no column names the species"
        if is_named or may_decide:
            raise UserError(_undecided(top, disk, one, species, files, fits))


def require_no_lists(top: Path, disk: pd.DataFrame, candidates: list[Metadata]) -> None:
    """Checks that no files list different photos each, as one of each species would.

    Raises:
        UserError: Some do, and folders are not called as they are.
    """
    pictures, listed = metadata.photos(disk), {}
    for one in candidates:
        is_list = one.kind == metadata.HEADLESS or (one.described and not one.described.has_species)
        if is_list and not one.split:
            rows = [one.columns, *one.document.to_numpy().tolist()]
            listed[one.path] = lists.photos_in(rows, pictures)
    listed = {path: photos for path, photos in listed.items() if photos}
    several = set().union(*listed.values())
    inner = {labels.comparable(part) for path in several for part in path.split("/")[:-1]}
    stems = {labels.comparable(Path(path).stem) for path in listed}
    is_apart = len(several) == sum(map(len, listed.values()))
    is_most = 2 * len(several) >= len(pictures)
    if len(listed) > 1 and is_apart and is_most and not stems <= inner:
        names = " and ".join(sorted(listed)[:_SHOWN])
        raise UserError(
            f"{top}: {names} list different photos and no species, so that each may be of one: "
            "write them into one table, metadata.csv, with file_name and species"
            + _or_folders(disk)
        )


def require_no_keywords(top: Path, disk: pd.DataFrame) -> None:
    """Checks, on a sample, that most photos do not hold keywords which their folders are not.

    Raises:
        UserError: Most do, as where somebody tagged what each shows.
    """
    pictures = metadata.photos(disk)
    sample = pictures.iloc[:: max(1, len(pictures) // _LOOKED_AT)]
    tagged = {path: words for path in sample if (words := sidecars.unlike_folders(top, path))}
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
    top: Path, disk: pd.DataFrame, one: Metadata, species: list[str], files: list[str], fits: int
) -> str:
    """Describes a file that may hold the labels, and the lines of params.yaml that decide."""
    if one.described is None:
        what = f"is {one.kind}, and holds the names of {fits} photos"
    elif one.photos:
        what = (
            f"names {len(one.photos)} photos, and no column has a usual name of species; it has "
            f"{one.shown_columns}"
        )
    else:
        what = (
            f"names no photo that is here by a column of a usual name; it has {one.shown_columns}"
        )
        for path, detail in one.lost["detail"].dropna().head(1).items():
            what += f"; {path} {detail}"
    advice, lines = [], folders.readings(disk)
    if one.described is None:
        advice.append("write them into a table, metadata.csv, with file_name and species")
    else:
        lines = _column_lines(one, disk, species, files) + lines
    if lines:
        advice.append("write into params.yaml one of\n" + "\n".join(lines))
    return f"{top / one.path} {what}; {'; or '.join(advice)}"


def _column_lines(
    one: Metadata, disk: pd.DataFrame, species: list[str], files: list[str]
) -> list[str]:
    """Returns the lines of params.yaml that name a table's columns."""
    names, folder = dict(one.described.named), metadata.folder_columns(one, disk)[:1]
    has_namesakes = one.lost["detail"].notna().any()
    if files or not (one.photos or "file" in names or has_namesakes):
        names["file"] = files[0] if files else "..."
        keys = metadata.photos(disk).map(paths.name_key)
        if files and folder and keys.duplicated().any():
            names["folder"] = folder[0]  # bare names would fit several photos
    if not one.photos and has_namesakes:
        if not folder and not any(beside for beside, _ in one.described.files):
            return []  # the folders within the paths are others: no column mends that
        if folder:
            names["folder"] = folder[0]
    lines = [_line(names | {"species": name}) for name in species[:3]]
    flags = [name for name in species if table.is_flag(one.document[name])]
    if len(flags) > 1:
        lines.append(_line({"species": flags}) + "   # columns of 0 and 1")
    return lines or ["  ingest.columns: {file: ..., species: ...}"]


def _line(columns: Mapping[str, str | Sequence[str]]) -> str:
    """Returns a line of params.yaml that names columns by their meaning."""
    texts = []
    for key, names in columns.items():
        several = [annotations.written(n) for n in ([names] if isinstance(names, str) else names)]
        text = ", ".join(several)
        texts.append(f"{key}: {text if isinstance(names, str) else f'[{text}]'}")
    return f"  ingest.columns: {{{', '.join(texts)}}}"
