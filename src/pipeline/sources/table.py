"""Reads a table of photos, and identifies its columns of file, species, place and time.

`metadata.csv` with `file_name`, as Hugging Face's image folders have it, is one; so are the tables
of Kaggle's sets (`id,breed`), of Timelapse (`RelativePath,File`) and of most field projects.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from pipeline.sources import annotations, cells, labels, paths
from pipeline.sources.filenames import split_named

# Letters and digits of the names that a column may have, the likeliest first.
_FILES = (
    *("filename", "filepath", "filepaths", "file", "path", "relativepath", "imagepath"),
    *("imagefile", "imagename", "image", "photo", "picture", "img", "filenames", "photoname"),
)
_IDS = ("imageid", "photoid", "mediaid", "id", "name")  # of a file where no other column names one
_FOLDERS = (
    *("relativepath", "directory", "folder", "foldername", "folderpath", "dir", "subfolder"),
    *("subdirectory", "filefolder", "path", "filepath", "parentfolder"),
)
_PLACES = (
    *("deploymentid", "deployment", "station", "stationid", "camera", "cameraid", "site"),
    *("siteid", "location", "locationid", "plot", "trap", "trapid"),
)
SPECIES = (
    *("species", "label", "labels", "class", "classname", "category", "scientificname"),
    *("commonname", "animal", "breed", "taxon"),
)
_OTHERS = {
    "group": ("group", "groupid", "sequence", "sequenceid", "seqid", "event", "eventid", "burst"),
    "location": (
        *("location", "locationid", "site", "siteid", "station", "stationid", "camera"),
        *("cameraid", "deployment", "deploymentid"),
    ),
    "taken_at": (
        *("takenat", "timestamp", "datetime", "datetimeoriginal", "capturedat", "observedon"),
        *("date", "time"),
    ),
    "split_hint": ("split", "dataset", "subset", "partition"),
    "licence": ("licence", "license", "licencecode", "licensecode"),
}
_OF_DAY = ("time", "timeofday", "hora", "heure", "uhrzeit", "zeit", "tijd", "ora", "hour")
_BOX = ("bbox", "box", "boxes")
_SIDES = ("bboxx", "bboxy", "bboxwidth", "bboxheight")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_RANKS = (*annotations.RANKS, "kingdom", "phylum", "subfamily", "subclass", "tribe")
# Columns of 0 and 1 that describe a picture, but not its species.
_FLAGS = ("delete", "flag", "flash", "favourite", "favorite", "checked", "reviewed", "public")
_YES, _NO = {"1", "true", "yes", "y", "x", "t"}, {"0", "false", "no", "n", "f", ""}
_MOSTLY = 0.5


@dataclass
class Table:
    """The meaning of a table's columns.

    Attributes:
        cells: The table, as texts.
        species: Its species column; None if there is none.
        flags: Columns of 0 and 1, one a species; empty if there are none.
        ranks: The column of each taxonomic rank.
        others: Column by field of annotations: group, location, taken_at, split_hint, licence.
        files: (folder column or None, file column), the likeliest first.
        places: Columns whose values may be names of folders.
        may_be_species: Unknown columns that could be the species.
        named: What a person named of it: `ingest.columns`.
    """

    cells: pd.DataFrame
    species: str | None = None
    flags: list[str] = field(default_factory=list)
    ranks: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str | None, str]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    may_be_species: list[str] = field(default_factory=list)
    named: Mapping[str, str | Sequence[str]] = field(default_factory=dict)

    @property
    def has_species(self) -> bool:
        """Returns whether a column, or several of 0 and 1, name the species."""
        return self.species is not None or bool(self.flags)


def describe(table: pd.DataFrame, named: Mapping[str, str | Sequence[str]]) -> Table:
    """Identifies the columns of a table by their names, or by `ingest.columns`.

    Args:
        table: Texts (`cells.load`).
        named: `ingest.columns` of the params: columns by their meaning. A list for species names
            columns of 0 and 1. A table that lacks one is described as if it were not named.
    """
    by_name = {letters(n.rpartition(".")[2]): n for n in reversed(table.columns)}  # label.species
    by_name |= {letters(name): name for name in reversed(table.columns)}
    mine = {key: chosen for key, value in named.items() if (chosen := named_columns(table, value))}
    described = Table(table, named={key: value for key, value in named.items() if key in mine})
    described.ranks = {rank: by_name[rank] for rank in _RANKS if rank in by_name}
    if len(described.ranks) < 2 and not ("genus" in described.ranks and "species" in by_name):
        described.ranks = {}
    _name_species(described, by_name, mine.get("species"))
    _name_files(described, by_name, mine)
    for key, likely in _OTHERS.items():
        theirs = mine.get({"taken_at": "time", "split_hint": "split"}.get(key, key))
        usual = [by_name[n] for n in likely if n in by_name]
        if key == "location":  # no place, where it is the picture's address on the web
            usual = [n for n in usual if not table[n].str.contains("://").mean() > _MOSTLY]
        first = next(iter(theirs or usual), None)
        if first is not None:
            described.others[key] = first
    described.places = [by_name[n] for n in _PLACES if n in by_name]
    if "location" in mine:
        described.places += [n for n in mine["location"] if n not in described.places]
    _name_unknown(described, by_name)
    return described


def letters(name: str) -> str:
    """Returns the letters and digits of a column's name."""
    return "".join(filter(str.isalnum, name.lower()))


def named_columns(table: pd.DataFrame, value: str | Sequence[str]) -> list[str] | None:
    """Returns the columns that a line of `ingest.columns` names; None if one is missing."""
    wanted = [value] if isinstance(value, str) else list(value)
    known = {labels.comparable(name): name for name in reversed(table.columns)}
    present = [n if n in table else known.get(labels.comparable(n)) for n in wanted]
    return None if None in present else present


def _name_species(described: Table, by_name: dict[str, str], mine: list[str] | None) -> None:
    if mine:
        first = described.cells[mine[0]]
        is_flags = len(mine) > 1 or (is_flag(first) and first.nunique() < 3)
        described.species, described.flags = (None, mine) if is_flags else (mine[0], [])
        described.ranks = {rank: name for rank, name in described.ranks.items() if name not in mine}
        return
    likely = [by_name[n] for n in SPECIES if n in by_name]
    likely = [name for name in likely if name not in described.ranks.values()]
    filled = (name for name in likely if described.cells[name].notna().any())
    described.species = next(filled, likely[0] if likely else None)


def _name_files(described: Table, by_name: dict[str, str], mine: dict[str, list[str]]) -> None:
    """Lists the columns that may name the file: with a folder beside it, or in it, or bare."""
    files, ids, folders = (
        [by_name[n] for n in likely if n in by_name] for likely in (_FILES, _IDS, _FOLDERS)
    )
    if "file" in mine:
        files, ids, folders = mine["file"], [], []
    folders = mine.get("folder", folders)
    ids = [name for name in ids if name != described.species]
    pairs = [(folder, name) for folder in folders for name in [*files, *ids] if folder != name]
    pairs = [(folder, name) for folder, name in pairs if described.cells[folder].notna().any()]
    has_folders = {n: described.cells[n].str.contains(r"[/\\]").mean() > _MOSTLY for n in files}
    alone = sorted(files, key=lambda name: not has_folders[name])
    full = {by_name.get("path"), by_name.get("filepath")}
    if any(folder not in full for folder, _ in pairs):  # the bare name is not the full name then
        alone, ids = [name for name in alone if has_folders[name]], []
    described.files = [*pairs, *((None, name) for name in alone), *((None, name) for name in ids)]


def _name_unknown(described: Table, by_name: dict[str, str]) -> None:
    """Finds columns of 0 and 1 that stand for species, and those that may be the species."""
    known = {
        described.species,
        *described.ranks.values(),
        *described.others.values(),
        *described.places,
    }
    known |= {name for pair in described.files for name in pair}
    known |= {by_name.get(n) for n in (*_BOX, *_SIDES, *_CORNERS)}
    rest = {name: column for name, column in described.cells.items() if name not in known}
    likely = [name for name, column in rest.items() if _may_be_species(column)]
    described.may_be_species = [name for name in likely if not is_flag(rest[name])]
    flags = [name for name in likely if is_flag(rest[name])]
    flags = [name for name in flags if not any(word in name.lower() for word in _FLAGS)]
    if len(flags) < 2:
        return
    marked = described.cells[flags].apply(_marked).sum(axis=1)
    is_known = described.has_species or described.may_be_species
    if not is_known and (marked == 1).mean() > _MOSTLY:
        described.flags = flags
    else:
        described.may_be_species += flags


def _may_be_species(column: pd.Series) -> bool:
    """Returns whether a column repeats some words, as one of species does."""
    words = column.dropna()
    counts = words.value_counts()
    if len(words) < 2 or len(counts) < 2 or (counts > 1).mean() < _MOSTLY:
        return False
    if is_flag(column):
        return True
    are_words = words.str.contains(r"[^\W\d_]{2}").mean() > _MOSTLY
    return are_words and annotations.times(words.iloc[:50]).isna().all()


def is_flag(column: pd.Series) -> bool:
    """Returns whether a column answers yes or no in each row, and yes in some."""
    values = set(_answers(column))
    return values <= _YES | _NO and bool(values & _YES)


def _marked(column: pd.Series) -> pd.Series:
    return _answers(column).isin(_YES)


def _answers(column: pd.Series) -> pd.Series:
    return column.fillna("").str.lower().str.replace(r"^([01])\.0+$", r"\1", regex=True)


def read(
    table: Table, disk: Sequence[str], top: str = "", folder: str = ""
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reads the annotations of a table, each row matched to the file that it names.

    Args:
        table: The table and the meaning of its columns, from `describe`.
        disk: Paths of the files below the collection's top folder.
        top: Name of the top folder.
        folder: Folder below the top that the table lies in.

    Returns:
        Annotations (`annotations.frame`), whose paths are those of files where they name one; and
        for each path that names none, problem and detail (`paths.match`), by path.
    """
    rows = table.cells.reset_index(drop=True)
    matched = _match(table, rows, disk, top, folder)
    if matched.empty:
        return annotations.frame(path=matched["path"]), paths.lost(matched)
    fields = {key: rows[name] for key, name in table.others.items()}
    if "taken_at" in fields:
        fields["taken_at"] = _with_time_of_day(fields["taken_at"], rows)
    if "split_hint" in fields:
        hint = fields["split_hint"]
        fields["split_hint"] = hint.map({name: split_named(name) for name in hint.unique()})
    ranks = {rank: rows[table.ranks[rank]] for rank in annotations.RANKS if rank in table.ranks}
    names = _species(table, rows)
    listed = names.map(lambda several: several or [None]).explode()
    everything = {"path": matched["path"], **fields, **ranks, **_boxes(rows)}
    everything = pd.DataFrame(everything).loc[listed.index].assign(species=listed.astype("str"))
    return annotations.frame(**everything.reset_index(drop=True)), paths.lost(matched)


def _with_time_of_day(dates: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Joins dates with the time of day that stands in a column of its own."""
    hours = next((name for name in rows if letters(name) in _OF_DAY), None)
    if hours is None or hours == dates.name or dates.str.contains(":").mean() > _MOSTLY:
        return dates
    return dates.where(rows[hours].isna(), dates + " " + rows[hours])


def _match(
    table: Table, rows: pd.DataFrame, disk: Sequence[str], top: str, folder: str
) -> pd.DataFrame:
    """Returns the rows' files by the likeliest columns that name any; none where no column may.

    Once a folder stands beside the name, or in it, a bare name does not count any more: the file
    of this name in another folder is another photo.
    """
    first = pd.DataFrame(columns=["path", "problem", "detail"], dtype="str")
    for beside, name in table.files:
        written = rows[name]
        if beside is not None:
            joined = rows[beside] + "/" + written
            written = joined.where(rows[beside].notna(), written)
        known = written.notna()
        if not known.any():
            continue
        places = None if beside is not None else rows.loc[known, table.places]
        matched = paths.match(written[known], disk, places, top, folder)
        matched = matched.reindex(rows.index)
        if matched["problem"].isna()[known].any():
            return matched
        if beside is not None and paths.folder_columns(rows, [beside], list(disk), top):
            inside = paths.match(rows[name][known], disk, rows.loc[known, [beside]], top, folder)
            if inside["problem"].isna().any():  # deeper below the folder that it names
                return inside.reindex(rows.index)
        first = matched if first.empty else first
    return first


def _species(table: Table, rows: pd.DataFrame) -> pd.Series:
    """Returns a list of species for each row."""
    if table.flags:
        marked = rows[table.flags].apply(_marked)
        return marked.apply(lambda row: [n for n in table.flags if row[n]], axis=1)
    if table.species is None:
        return pd.Series([[] for _ in rows.index], index=rows.index)
    column = rows[table.species]
    genus = table.ranks.get("genus")
    if genus is not None and genus != table.species:
        epithet = column.str.fullmatch(r"[a-zäëïöü-]+", na=False) & rows[genus].notna()
        column = column.mask(epithet, rows[genus] + " " + column)
    return labels.split(_with_no_animal(column, table, rows))


def _with_no_animal(column: pd.Series, table: Table, rows: pd.DataFrame) -> pd.Series:
    """Fills rows without a species from other name columns that state that there is no animal."""
    for name in rows:
        if letters(name) in SPECIES and name not in (table.species, *table.ranks.values()):
            nobody = rows[name].dropna()
            nobody = nobody[[labels.reason(value) is not None for value in nobody]]
            column = column.where(column.notna(), nobody.reindex(column.index))
    return column


def _boxes(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Returns the box of each row: x, y, w and h, or nothing. Of several in one cell, the first."""
    theirs = {letters(name): name for name in reversed(rows.columns)}
    if written := next((theirs[n] for n in _BOX if n in theirs), None):
        numbers = rows[written].str.findall(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
        corners = [numbers.str[i] for i in range(4)]
    elif set(_SIDES) <= set(theirs):
        corners = [cells.numbers(rows[theirs[name]]) for name in _SIDES]
    elif set(_CORNERS) <= set(theirs):
        x, y, right, bottom = (cells.numbers(rows[theirs[n]]) for n in _CORNERS)
        corners = [x, y, right - x, bottom - y]
    else:
        return {}
    return dict(zip("xywh", corners, strict=True))
