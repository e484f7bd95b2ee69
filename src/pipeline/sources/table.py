"""A table of photos: CSV, TSV, Parquet or JSON lines, with its columns under their usual names.

`metadata.csv` with `file_name`, as Hugging Face's image folders have it, is one; so are the tables
of Kaggle's sets (`id,breed`), of Timelapse (`RelativePath,File`) and of most field projects.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import UserError
from pipeline.sources import annotations
from pipeline.sources.filenames import split_named

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl")
# Letters and digits of the names that a column may have, the likeliest first.
_NAMES = {
    "path": (
        *("filename", "filepath", "filepaths", "file", "path", "relativepath", "imagepath"),
        *("imagefile", "imagename", "image", "photo", "picture", "img", "imageid", "id"),
    ),
    "species": (
        *("species", "label", "labels", "class", "classname", "category", "scientificname"),
        *("commonname", "animal", "breed", "taxon"),
    ),
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
    "box": ("bbox", "box", "boxes"),
}
_SIDES = ("bboxx", "bboxy", "bboxwidth", "bboxheight")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def load(path: Path) -> pd.DataFrame:
    """Reads a table; each cell is a text, or null where there is none.

    Raises:
        UserError: It cannot be read.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        elif suffix == ".jsonl":
            table = pd.read_json(path, lines=True, dtype=False)
        else:
            table = _csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (ValueError, OSError, RecursionError, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read as a table: {error}") from None
    table = table.loc[:, ~table.columns.duplicated()]
    return pd.DataFrame({str(name): _text(column) for name, column in table.items()})


def read(path: Path) -> pd.DataFrame:
    """What a table says of photos.

    Returns:
        Annotations (`annotations.frame`); `species` is missing where the table has no such column,
        and there is no column at all where it names no files.
    """
    table = load(path)
    theirs = {"".join(filter(str.isalnum, name.lower())): name for name in reversed(table.columns)}
    ours = {
        name: table[theirs[usual]]
        for name, likely in _NAMES.items()
        if (usual := next((n for n in likely if n in theirs), None))
    }
    if "path" not in ours:
        return pd.DataFrame()
    if {"relativepath", "file"} <= set(theirs):  # Timelapse's folder and name
        folder = table[theirs["relativepath"]].fillna("")
        ours["path"] = folder.where(folder == "", folder + "/") + table[theirs["file"]]
    if "split_hint" in ours:
        hint = ours["split_hint"]
        ours["split_hint"] = hint.map({name: split_named(name) for name in hint.unique()})
    if "taken_at" in ours:
        ours["taken_at"] = annotations.times(ours["taken_at"])
    boxes = _boxes(table, theirs, ours.pop("box", None))
    rows = annotations.frame(**ours, **boxes)
    return rows if "species" in ours else rows.drop(columns="species")


def _csv(path: Path) -> pd.DataFrame:
    with path.open("rb") as file:
        header = file.readline(1 << 16)
    separator = max(b",;\t|", key=header.count)
    for encoding in ("utf-8-sig", "latin-1"):
        try:
            return pd.read_csv(
                path, sep=chr(separator), dtype="str", keep_default_na=False, encoding=encoding
            )
        except UnicodeDecodeError:
            continue  # Excel writes the machine's old encoding
    raise AssertionError("latin-1 reads any bytes")


def _text(column: pd.Series) -> pd.Series:
    if any(isinstance(value, list | dict | np.ndarray) for value in column.dropna().iloc[:1]):
        column = column.map(lambda value: json.dumps(value, default=np.ndarray.tolist), "ignore")
    text = column.astype("str").str.strip()
    return text.mask(text == "")


def _boxes(
    table: pd.DataFrame, theirs: dict[str, str], written: pd.Series | None
) -> dict[str, pd.Series]:
    """The box of each row: x, y, w and h, or nothing. Of several in one cell, the first."""
    if written is not None:
        numbers = written.str.findall(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
        corners = [numbers.str[i] for i in range(4)]
    elif set(_SIDES) <= set(theirs):
        corners = [table[theirs[name]] for name in _SIDES]
    elif set(_CORNERS) <= set(theirs):
        x, y, right, bottom = (pd.to_numeric(table[theirs[n]], errors="coerce") for n in _CORNERS)
        corners = [x, y, right - x, bottom - y]
    else:
        return {}
    return dict(zip("xywh", corners, strict=True))
