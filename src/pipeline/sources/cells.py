"""Reads a table into texts: CSV as spreadsheets write it, Parquet, JSON lines or Excel."""

import codecs
import csv
import io
import json
import re
from collections import Counter
from contextlib import suppress
from datetime import date, datetime, time
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import UserError

SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".xlsx")
_ADVICE = {  # what to do with tables that are not read
    **dict.fromkeys(
        (".xls", ".ods", ".numbers", ".xlsm"),
        "is a spreadsheet in a format that is not supported: save it as CSV",
    ),
    **dict.fromkeys(
        (".ddb", ".db", ".sqlite", ".sqlite3", ".mdb", ".accdb", ".lrcat"),
        "is a database of another program, and not read: export from there as CSV what it says of "
        "the photos",
    ),
}
REFUSED = tuple(_ADVICE)
_SEPARATORS = ",;\t|"
_DEPTH = 3  # of objects within objects
_SAMPLE_BYTES = 2**16
_SAMPLE_ROWS = 40  # rows that determine the separator and the header


def load(path: Path) -> pd.DataFrame:
    """Reads a table; each cell is a text, or null where there is none.

    Of a spreadsheet's sheets the first that has rows is read, with those of the same columns.

    Raises:
        UserError: It cannot be read; the message says what to do.
    """
    suffix = path.suffix.lower()
    if suffix in REFUSED:
        raise UserError(f"{path} {_ADVICE[suffix]}")
    if suffix == ".xlsx":
        first = next(iter(sheets(path).values()), pd.DataFrame())
        if isinstance(first, UserError):
            raise first
        return first
    try:
        if suffix == ".parquet":
            table = pd.read_parquet(path)
        elif suffix in (".jsonl", ".ndjson"):
            table = pd.read_json(path, lines=True, dtype=False)
        else:
            table = _framed(_csv(path))
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (ValueError, OSError, RecursionError, csv.Error, pa.ArrowException) as error:
        raise _unreadable(path, error) from None
    return texts(table)


def sheets(path: Path) -> dict[str, pd.DataFrame | UserError]:
    """Reads the tables of an `.xlsx` file, sheets with the same columns as one.

    Returns:
        A table, as from `load`, for each set of columns, or the error of a sheet that is no table;
        by the names of the sheets. Empty sheets are left out.

    Raises:
        UserError: It is no such file.
    """
    alike: dict[tuple[str, ...], dict[str, pd.DataFrame]] = {}
    errors: dict[str, pd.DataFrame | UserError] = {}
    for name, rows in _sheets(path):
        try:
            table = _framed(rows)
        except ValueError as error:
            errors[name] = _unreadable(path, f"sheet {name}: {error}")
            continue
        if not table.empty:
            alike.setdefault(tuple(table), {})[name] = table
    return {
        ", ".join(tables): texts(pd.concat(tables.values(), ignore_index=True))
        for tables in alike.values()
    } | errors


def _unreadable(path: Path, error: object) -> UserError:
    return UserError(f"{path} cannot be read as a table: {error}")


def texts(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table whose cells are texts, each column once.

    An object in a cell becomes a column for each of its keys: `label.species`.
    """
    table = _flat(table.loc[:, ~table.columns.duplicated()])
    return pd.DataFrame({str(name): _text(column) for name, column in table.items()})


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    """Replaces columns of objects, and of lists of objects, by columns of what they hold."""
    for _ in range(_DEPTH):
        nested = [n for n, c in table.items() if c.dtype == object and c.map(_keys).any()]
        if not nested:
            break
        columns = {}
        for name, column in table.items():
            if name not in nested:
                columns[name] = column
                continue
            for key in dict.fromkeys(key for value in column for key in _keys(value)):
                columns[f"{name}.{key}"] = column.map(partial(_inner, key))
        table = pd.DataFrame(columns, index=table.index)
    return table


def _keys(value: Any) -> list[str]:
    """Returns the keys of an object, or of all objects of a list that holds nothing else."""
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list | np.ndarray) and all(isinstance(one, dict) for one in value):
        return list(dict.fromkeys(key for one in value for key in one))
    return []


def _inner(key: str, value: Any) -> Any:
    """Returns what an object has below a key, or a list of what the objects of a list have."""
    if isinstance(value, dict):
        return value.get(key)
    if _keys(value):
        return [one[key] for one in value if key in one]
    return None


def numbers(column: pd.Series) -> pd.Series:
    """Returns numbers as people write them, `0.5` or `0,5`; null where a text is none."""
    plain = column.astype("str").str.replace(r"^\s*(-?\d+),(\d+)\s*$", r"\1.\2", regex=True)
    return pd.to_numeric(plain, errors="coerce")


def _text(column: pd.Series) -> pd.Series:
    if column.dtype == object:
        column = column.map(_one_text, na_action="ignore")
    elif column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # 1.0 is the 1 that a null beside it made a fraction
    text = column.astype("str").str.strip()
    return text.mask(text == "")


def _one_text(value: Any) -> str:
    if isinstance(value, list | dict | np.ndarray):
        return json.dumps(value, default=np.ndarray.tolist, ensure_ascii=False)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def first_lines(path: Path) -> list[str]:
    """Returns the first lines of a text that are not empty; none of a file that holds no text."""
    with suppress(ValueError, OSError), path.open("rb") as file:
        lines = _decoded(file.read(_SAMPLE_BYTES)).splitlines()
        return [line for line in lines if line.strip()][:_SAMPLE_ROWS]
    return []


def _decoded(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if b"\0" in data[:200]:
        if data[1:2] == b"\0" or data[:1] == b"\0":
            return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
        raise ValueError("it holds bytes that no text has")
    for encoding in ("utf-8-sig", "cp1252"):  # Excel writes the machine's old encoding
        with suppress(UnicodeDecodeError):
            return data.decode(encoding)
    return data.decode("latin-1")


def _csv(path: Path) -> list[list[str]]:
    """Returns the rows of a text table, with the separator that most of its lines agree about."""
    text = _decoded(path.read_bytes()).lstrip("\ufeff")
    named = re.match(r'"?sep=(.)"?[^\S\n]*\r?\n', text)
    if named:
        text = text[named.end() :]
    separator = named[1] if named else max(_SEPARATORS, key=lambda s: _agreement(text, s))
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))


def _agreement(text: str, separator: str) -> tuple[float, int]:
    """Returns how many of the first rows have the commonest number of fields, and that number."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [row for row in islice(reader, _SAMPLE_ROWS) if any(row)]
    except csv.Error:
        return (0.0, 0)
    widths = Counter(len(row) for row in rows if len(row) > 1)
    if not widths:
        return (0.0, 0)
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    return (round(count / len(rows), 1), width)


def _framed(rows: list[list[str]]) -> pd.DataFrame:
    """Returns rows as a table, without titles and comments that precede the header.

    The header is the first row that is as wide as most, and no comment (`# ...`).
    """
    numbered = [(i, row) for i, row in enumerate(rows, 1) if any(cell.strip() for cell in row)]
    widths = Counter(len(_trimmed(row)) for _, row in numbered[:_SAMPLE_ROWS])
    usual = max(widths, key=lambda width: (widths[width], width), default=0)
    start = 0
    for place, (_, row) in enumerate(numbered[:_SAMPLE_ROWS]):
        width, filled = len(_trimmed(row)), sum(bool(cell.strip()) for cell in row)
        is_comment = re.match(r"\s*(#\s|##)", row[0])
        if width >= usual and filled * 2 > usual and not is_comment:
            start = place
            break
    if not numbered:
        return pd.DataFrame()
    head = [name.strip().lstrip("#") for name in _trimmed(numbered[start][1])]
    head = [name or f"column {place}" for place, name in enumerate(head, 1)]
    body = []
    for line, row in numbered[start + 1 :]:
        if len(_trimmed(row)) > len(head):
            raise ValueError(f"row {line} has {len(_trimmed(row))} cells, the header {len(head)}")
        body.append((row + [""] * len(head))[: len(head)])
    return pd.DataFrame(body, columns=head, dtype="str")


def _trimmed(row: list[str]) -> list[str]:
    """Returns a row without the empty cells at its end."""
    width = len(row)
    while width and not row[width - 1].strip():
        width -= 1
    return row[:width]


def _sheets(path: Path) -> list[tuple[str, list[list[str]]]]:
    """Returns name and rows of each sheet; a cell that spans rows stands in each of them."""
    import openpyxl  # here, for it takes a tenth of a second that few collections need

    try:
        book = openpyxl.load_workbook(path, data_only=True)
        several = []
        for sheet in book.worksheets:
            rows = [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]
            for merged in sheet.merged_cells.ranges:
                left, top, right, bottom = merged.bounds
                for row in rows[top:bottom] if left == right else ():
                    row[left - 1] = rows[top - 1][left - 1]
            several.append((sheet.title, rows))
        return several
    except Exception as error:  # openpyxl's, zipfile's and those of its parsers share no base class
        raise _unreadable(path, f"it is not a valid .xlsx file ({error})") from None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()  # spreadsheets have no dates without a time of day
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
