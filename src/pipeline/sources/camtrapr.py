"""Reads record tables of the R package camtrapR (`recordTable`), saved with `write.csv`.

https://jniedballa.github.io/camtrapR/reference/recordTable.html. A row is a species on a photo,
`Directory` and `FileName` are its path on the machine that wrote the table.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.sources import annotations, ids

_NEEDED = {"Station", "Species", "Directory", "FileName"}


def is_one(document: Any) -> bool:
    """Returns whether this is a record table."""
    return isinstance(document, pd.DataFrame) and set(document) >= _NEEDED


def read(rows: pd.DataFrame, folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the species of each record; its station is its location."""
    directory = rows["Directory"].str.replace("\\", "/").str.rstrip("/")
    return annotations.frame(
        path=(directory + "/" + rows["FileName"]).fillna(rows["FileName"]),
        species=rows["Species"],
        location=ids.plain(rows["Station"]),
        taken_at=rows.get("DateTimeOriginal"),
    )
