"""Reads CVAT's export of classified pictures: 'CVAT for images' (XML) and Datumaro (JSON).

https://docs.cvat.ai/docs/dataset_management/formats/format-cvat and format-datumaro. A tag is a
label of the whole picture; boxes have labels of their own.
"""

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pandas as pd

from pipeline.sources import annotations

_COLUMNS = ["path", "species", "x", "y", "w", "h", "width", "height"]


def is_one(document: Any) -> bool:
    """Returns whether a document is 'CVAT for images' or Datumaro's."""
    if isinstance(document, Element):
        return document.tag == "annotations" and document.find("image") is not None
    return (
        isinstance(document, dict)
        and isinstance(document.get("items"), list)
        and isinstance(document.get("categories"), dict)
        and "label" in document["categories"]
    )


def read(document: Element | dict[str, Any], folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the labels of each picture, and its boxes."""
    rows = _images(document) if isinstance(document, Element) else _items(document)
    return annotations.frame(**pd.DataFrame(rows, columns=_COLUMNS))


def _images(root: Element) -> list[tuple]:
    rows = []
    for image in root.iter("image"):
        sides = image.get("width"), image.get("height")
        objects = [(tag.get("label"), *[None] * 4) for tag in image.iter("tag")]
        for box in image.iter("box"):
            x, y, right, bottom = (float(box.get(n)) for n in ("xtl", "ytl", "xbr", "ybr"))
            objects.append((box.get("label"), x, y, right - x, bottom - y))
        rows += [(image.get("name"), *row, *sides) for row in objects or [[None] * 5]]
    return rows


def _items(document: dict[str, Any]) -> list[tuple]:
    labels = [label["name"] for label in document["categories"]["label"]["labels"]]
    rows = []
    for item in document["items"]:
        image = item.get("image") or {}
        height, width = image.get("size") or (None, None)
        objects = [
            (labels[one["label_id"]], *(one["bbox"] if one.get("type") == "bbox" else [None] * 4))
            for one in item.get("annotations") or ()
            if one.get("type") in ("label", "bbox") and one.get("label_id") is not None
        ]
        path = image.get("path") or item["id"]
        rows += [(path, *row, width, height) for row in objects or [[None] * 5]]
    return rows
