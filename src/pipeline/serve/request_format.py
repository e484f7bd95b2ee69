"""Reads the forms in which MLflow's scoring server takes a batch: JSON, CSV and Parquet."""

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

from pipeline.inference.query import Query
from pipeline.inference.recogniser import MAX_BYTES

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

COLUMN = "image"
JSON, CSV, PARQUET = "application/json", "text/csv", "application/vnd.apache.parquet"
_FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
_EXPANSION = 2  # times the body's bytes; photos hardly shrink, and their base64 by a quarter


class FormatError(HTTPException):
    """A body that cannot be read, in one sentence for the sender.

    Its status is 415 for another kind of body, 413 for one that is too large, else 400.
    """

    def __init__(self, sentence: str, status: int = 400):
        super().__init__(status, sentence)


# The images of the rows (bytes, or base64, or whatever was sent in their place), and the params of
# the request, not checked yet.
Batch = tuple[list[Any], dict[str, Any]]


def parse(body: bytes, content_type: str) -> Batch:
    """Reads the body of a request.

    Args:
        body: All of it.
        content_type: The header.

    Raises:
        FormatError: It does not follow the format, is of another kind, or is too large.
        QueryError: It has more rows than a request may have.
    """
    kind, _, rest = content_type.partition(";")
    charset = rest.strip().lower().removeprefix("charset=").strip('"') if "charset" in rest else ""
    if charset not in ("", "utf-8", "utf8"):
        raise FormatError(f"the charset is {charset[:50]!r}; only UTF-8 is read", 415)
    readers = {JSON: _from_json, CSV: _from_csv, PARQUET: _from_parquet}
    reader = readers.get(kind.strip().lower())
    if reader is None:
        raise FormatError(f"Content-Type is {kind[:50]!r}; valid: {', '.join(readers)}", 415)
    return reader(body)


def _from_json(body: bytes) -> Batch:
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"the body is not valid JSON: {str(error)[:200]!r}") from None
    if not isinstance(request, dict):
        raise FormatError(f"the body is {type(request).__name__}, not an object")
    forms = [name for name in _FORMS if name in request]
    if len(forms) != 1:
        raise FormatError(f"the body must have exactly one of {', '.join(_FORMS)}")
    if other := sorted(set(request) - {forms[0], "params"}):
        raise FormatError(f"unknown key {other[0][:50]!r}; valid beside {forms[0]}: params")
    params = request.get("params")
    if not isinstance(params, dict | None):
        raise FormatError(f"params is {type(params).__name__}, not an object")
    rows = request[forms[0]]
    images = _split(rows) if forms[0] == "dataframe_split" else _rows(rows, forms[0])
    return images, params or {}


def _split(frame: Any) -> list[Any]:
    columns = frame.get("columns") if isinstance(frame, dict) else None
    rows = frame.get("data") if isinstance(frame, dict) else None
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise FormatError("dataframe_split must have the lists `columns` and `data`")
    if columns.count(COLUMN) != 1:
        raise FormatError(f"dataframe_split has no column `{COLUMN}`, or several")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise FormatError(f"row {number} of dataframe_split is not a list of {len(columns)}")
    return [row[columns.index(COLUMN)] for row in rows]


def _rows(rows: Any, form: str) -> list[Any]:
    """Reads a list of objects or, of `inputs` and `instances`, an object with a list."""
    if isinstance(rows, dict) and form != "dataframe_records":
        images = rows.get(COLUMN)
        if not isinstance(images, list):
            raise FormatError(f"{form} must have a list `{COLUMN}`")
        return images
    if not isinstance(rows, list):
        raise FormatError(f"{form} is {type(rows).__name__}, not a list of objects")
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or COLUMN not in row:
            raise FormatError(f"row {number} of {form} is not an object with `{COLUMN}`")
    return [row[COLUMN] for row in rows]


def _from_csv(body: bytes) -> Batch:
    import pandas as pd

    try:
        frame = pd.read_csv(io.BytesIO(body), dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' own errors and those of the encoding are its children
        raise FormatError(f"the body is not valid CSV: {str(error)[:200]!r}") from None
    if COLUMN not in frame:
        raise FormatError(f"the CSV has no column `{COLUMN}`")
    return frame[COLUMN].tolist(), {}


def _from_parquet(body: bytes) -> Batch:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(body))
        columns = [file.schema.column(i) for i in range(len(file.schema))]
        if COLUMN not in [c.path for c in columns if c.max_repetition_level == 0]:
            raise FormatError(f"the Parquet has no column `{COLUMN}`, or one of lists")
        return _unpacked(file, _EXPANSION * max(len(body), MAX_BYTES)), {}
    except (pa.ArrowException, OSError) as error:
        sentence = f"the body is not Parquet with a column `{COLUMN}`: {str(error)[:200]!r}"
        raise FormatError(sentence) from None


def _unpacked(file: "ParquetFile", most: int) -> list[Any]:
    """Reads the images of a Parquet file, of which a few bytes can stand for many gigabytes.

    Args:
        file: With a column of images.
        most: Bytes that they may have together.

    Raises:
        FormatError: They have more.
        QueryError: There are more rows than a request may have.
    """
    Query().require_rows(file.metadata.num_rows)
    too_large = FormatError(f"its images have over {most:,} bytes together", 413)
    groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
    chunks = (group.column(i) for group in groups for i in range(group.num_columns))
    if sum(c.total_uncompressed_size for c in chunks if c.path_in_schema == COLUMN) > most:
        raise too_large
    images: list[Any] = []
    for row in file.iter_batches(batch_size=1, columns=[COLUMN]):  # a repeated one is stored once
        images += row[COLUMN].to_pylist()
        most -= sys.getsizeof(images[-1])
        if most < 0:
            raise too_large
    return images
