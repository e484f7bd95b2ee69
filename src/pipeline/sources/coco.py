"""Reads COCO Camera Traps: `images`, `annotations` and `categories` in one JSON file.

The format is COCO's (Lin et al. 2014) with what camera traps need: where a picture was taken, when,
and in which sequence. Annotations of whole pictures have no box.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.sources import annotations

# What datasets of this form call pictures without an animal, and with people. By the format's
# convention category 0 is `empty`.
_NOBODY = {"empty": "blank", "blank": "blank", "nothing": "blank", "no animal": "blank"} | (
    dict.fromkeys(("human", "person", "people", "vehicle", "car", "bicycle"), "person_or_vehicle")
)

_PICTURE = {
    "group": "seq_id",
    "location": "location",
    "licence": "license",
    "width": "width",
    "height": "height",
}


def is_one(document: Any) -> bool:
    """Returns whether a JSON document is of this form."""
    needed = ("images", "annotations", "categories")
    return isinstance(document, dict) and all(isinstance(document.get(n), list) for n in needed)


def read(document: dict, folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the annotations of a document, each joined with its picture.

    A picture without any has a row without a species. Boxes are in pixels of the picture as it was
    annotated, whose size the document may tell.
    """
    times = ["datetime", "date_captured"]
    pictures = _table(document["images"], "id", "file_name", *times, *_PICTURE.values())
    marks = _table(document["annotations"], "image_id", "category_id", "bbox")
    kinds = _table(document["categories"], "id", "name")
    marks["species"] = marks["category_id"].map(kinds.drop_duplicates("id").set_index("id")["name"])
    rows = pictures.merge(marks, how="left", left_on="id", right_on="image_id")
    corners = pd.DataFrame(
        [box if isinstance(box, list) and len(box) == 4 else [None] * 4 for box in rows["bbox"]],
        columns=["x", "y", "w", "h"],
    )
    species = rows["species"].astype("str")
    return annotations.frame(
        path=rows["file_name"],
        species=species,
        reason=species.str.strip().str.lower().map(_NOBODY),
        taken_at=rows["datetime"].fillna(rows["date_captured"]),
        **{ours: rows[theirs] for ours, theirs in _PICTURE.items()},
        **corners,
    )


def _table(rows: list[dict], *columns: str) -> pd.DataFrame:
    """Returns some columns of a list of objects; identifiers are text, as in `images`."""
    table = pd.DataFrame(rows, dtype=object).reindex(columns=list(columns))
    return table.assign(**{c: table[c].astype("str") for c in columns if c.endswith("id")})
