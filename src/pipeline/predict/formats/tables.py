"""Writes answers as a table, a row a photo (CSV, Parquet), or as JSON.

docs/predict.md says what each column holds.
"""

import csv as standard_csv
import json as standard_json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.predict.batch import TOP, Answer
from pipeline.predict.events import COLUMNS

_ROWS_AT_A_TIME = 8192


def csv(answers: Iterable[Answer], labels: list[str], path: Path) -> None:
    """Writes a CSV file in UTF-8, with the mark at its start that Excel knows the encoding by."""
    _write(path, _schema(labels).names, map(_flat, answers))


def events(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """Writes a row an event (`events.COLUMNS`) as CSV."""
    joined = (row | {"prediction_set": "|".join(row["prediction_set"])} for row in rows)
    _write(path, COLUMNS, joined)


def _write(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = standard_csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def parquet(answers: Iterable[Answer], labels: list[str], path: Path) -> None:
    """Writes a Parquet file."""
    rows, schema = map(_flat, answers), _schema(labels)
    with pq.ParquetWriter(path, schema) as writer:
        while block := list(islice(rows, _ROWS_AT_A_TIME)):
            writer.write_table(pa.Table.from_pylist(block, schema))


def json(answers: Iterable[Answer], labels: list[str], path: Path) -> None:
    """Writes a JSON list, an answer a line."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for i, answer in enumerate(answers):
            file.write(f"{',' * bool(i)}\n{standard_json.dumps(answer, ensure_ascii=False)}")
        file.write("\n]\n")


def _flat(answer: Answer) -> Answer:
    row = {name: value for name, value in answer.items() if name not in ("top", "prediction_set")}
    row["frames"] = answer.get("frames") and len(answer["frames"])
    if answer["error"] is None:
        row["prediction_set"] = "|".join(answer["prediction_set"])
    for i, other in enumerate(answer["top"][1:], 2):
        row |= {f"species_{i}": other["species"], f"probability_{i}": other["probability"]}
    return row


def _schema(labels: list[str]) -> pa.Schema:
    text, number = pa.string(), pa.float64()
    others = [
        (f"{name}_{i}", kind)
        for i in range(2, min(TOP, len(labels)) + 1)
        for name, kind in (("species", text), ("probability", number))
    ]
    return pa.schema(
        [
            *[("path", text), ("photo", text), ("species", text), ("probability", number)],
            *[("unknown", pa.bool_()), ("kind", text), ("reason", text), ("looks_like", text)],
            *[("rank", text), ("taxon", text), ("taxon_probability", number), ("off_list", text)],
            *[("prediction_set", text), *others],
            *[("brightness", number), ("sharpness", number), ("cut_short", pa.bool_())],
            *[("taken_at", text), ("latitude", number), ("longitude", number)],
            ("frames", pa.int64()),
            *[("event", text), ("event_species", text), ("event_probability", number)],
            *[("event_unknown", pa.bool_()), ("error", text)],
        ]
    )
