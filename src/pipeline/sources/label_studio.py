"""Reads Label Studio's export of classified pictures: JSON, JSON-MIN and CSV.

https://labelstud.io/guide/export and https://labelstud.io/guide/task_format. Uploaded files got
eight hexadecimal digits and a hyphen before their names.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import annotations, ids

_PICTURES = ("image", "img", "photo", "picture", "file", "url")
_OURS = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "sentiment"}
_UPLOADED = re.compile(r"(^|/)[0-9a-f]{8}-(?=[^/]*$)")
_MANY = 5  # tasks that tell what a document is


def is_one(document: Any) -> bool:
    """Returns whether a JSON document or a table is such an export."""
    if isinstance(document, pd.DataFrame):
        named = document.columns.isin(_PICTURES).any()
        return set(document) >= {"annotation_id", "annotator"} and bool(named)
    return isinstance(document, list) and any(
        isinstance(task, dict)
        and (
            (isinstance(task.get("data"), dict) and isinstance(task.get("annotations"), list))
            or ("annotation_id" in task and _picture(task) is not None)
        )
        for task in document[:_MANY]
    )


def read(document: list[dict] | pd.DataFrame, folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the choices and boxes of every annotator; a skipped task has none.

    The files show whether they still have their upload names.

    Raises:
        UserError: The tasks have several choices of different names, or no picture.
    """
    if isinstance(document, pd.DataFrame):
        document = document.astype(object).where(document.notna(), None).to_dict("records")
    rows = [row for task in document for row in _rows(task)]
    table = pd.DataFrame(rows, columns=["path", "species", "x", "y", "w", "h"])
    paths = table["path"].map(_local).astype("str")
    before_upload = paths.str.replace(_UPLOADED, r"\1", regex=True)
    return annotations.frame(**table.assign(path=ids.first_there([paths, before_upload], files)))


def _rows(task: dict[str, Any]) -> Iterator[tuple]:
    picture = _picture(task.get("data", task))
    if picture is None:
        raise UserError(f"task {task.get('id')} of Label Studio names no picture under `data`")
    if "annotations" not in task:
        yield from ((picture, label, *[None] * 4) for label in _minimal(task) or [None])
        return
    results = [
        result
        for annotation in task["annotations"]
        if not annotation.get("was_cancelled")
        for result in annotation.get("result") or ()
    ]
    labelled = [row for result in results for row in _labels(result)]
    yield from ((picture, *row) for row in labelled or [(None, *[None] * 4)])


def _labels(result: dict[str, Any]) -> Iterator[tuple]:
    value, kind = result.get("value") or {}, result.get("type")
    if kind in ("choices", "taxonomy"):
        for label in value.get(kind) or ():
            yield (label[-1] if isinstance(label, list) else label, *[None] * 4)
    elif kind == "rectanglelabels":
        corners = [float(value[side]) / 100 for side in ("x", "y", "width", "height")]
        for label in value.get("rectanglelabels") or ():
            yield (label, *corners)


def _minimal(task: dict[str, Any]) -> list[Any]:
    """Returns the choices of a task of JSON-MIN or CSV: the content of its one custom column."""
    names = [name for name in task if name not in _OURS and name not in _PICTURES]
    name = "choice" if "choice" in names else names[0] if len(names) == 1 else None
    if name is None:
        raise UserError(
            f"Label Studio's tasks have no one column for the species ({', '.join(names)}); "
            "export them as JSON, or name the column choice"
        )
    chosen = task[name]
    if isinstance(chosen, str) and chosen.startswith("{"):  # several, in a cell of a table
        chosen = json.loads(chosen)
    chosen = chosen.get("choices") if isinstance(chosen, dict) else chosen
    return chosen if isinstance(chosen, list) else [chosen]


def _picture(fields: dict[str, Any]) -> str | None:
    return next((fields[n] for n in _PICTURES if isinstance(fields.get(n), str)), None)


def _local(address: str) -> str:
    """Returns the path in an address: of local storage (`?d=cam1/1.jpg`), an upload or a bucket."""
    parts = urlsplit(address)
    if inner := parse_qs(parts.query).get("d"):
        return inner[0]
    path = unquote(parts.path) if parts.scheme or address.startswith("/data/") else address
    return re.sub(r"^/data/upload/(?:\d+/)?", "", path).lstrip("/")
