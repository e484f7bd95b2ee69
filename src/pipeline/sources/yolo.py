"""Reads YOLO's detection sets: `images/`, `labels/*.txt` and `data.yaml`.

https://docs.ultralytics.com/datasets/detect. A line of a text is an object: the number of its
class, centre and sides of its box in shares of the picture's; of a polygon, its corners. A picture
whose text is empty shows nothing.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import annotations
from pipeline.sources.filenames import split_named

_IMAGES = re.compile(r"^(.*/)?images/(.*/)?([^/]+)\.(?!txt$)[^./]+$")


def is_one(document: Any) -> bool:
    """Returns whether a YAML document is a set's `data.yaml`, which names classes and splits."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("names"), list | dict)
        and any(split in document for split in ("train", "val", "test"))
    )


def read(document: dict[str, Any], folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the objects of each picture in an `images` folder, from its file in `labels`.

    Raises:
        UserError: A line is not of this form, or names a class that is not in `names`.
    """
    names = document["names"]
    names = dict(enumerate(names)) if isinstance(names, list) else names
    names = {int(number): str(name) for number, name in names.items()}
    there, rows = set(files), []
    for path in files:
        match = _IMAGES.match(path)
        if match is None:
            continue
        above, below, stem = (part or "" for part in match.groups())
        text = f"{above}labels/{below}{stem}.txt"
        objects = list(_objects(folder / text, names)) if text in there else [(None, None)]
        parts = path.split("/")[:-1]
        split = next((s for part in parts if (s := split_named(part))), None)
        for species, box in objects or [("blank", None)]:
            rows.append((path, species, None if objects else "blank", split, *(box or [None] * 4)))
    columns = ["path", "species", "reason", "split_hint", "x", "y", "w", "h"]
    return annotations.frame(**pd.DataFrame(rows, columns=columns))


def _objects(path: Path, names: dict[int, str]) -> Iterator[tuple[str, list[float]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, *values = (float(value) for value in line.split())
            species = names[int(kind)]
            if len(values) == 4:
                x, y, w, h = values
                yield species, [x - w / 2, y - h / 2, w, h]
            else:
                across, down = values[::2], values[1::2]
                x, y = min(across), min(down)
                yield species, [x, y, max(across) - x, max(down) - y]
        except (ValueError, KeyError):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:80]!r} is not an object in YOLO's format "
                f"with a class of data.yaml "
                f"({', '.join(f'{n}: {name}' for n, name in names.items())})"
            ) from None
