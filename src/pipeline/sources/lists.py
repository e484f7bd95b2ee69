"""Recognises texts and tables that list photos and have no line of column names."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipeline.sources import cells, paths

SUFFIXES = (".txt", ".tab")
_OF_YOLO = r"(?:^|/)labels/"  # a text a photo, in numbers
_WORD = re.compile(r"[^\W\d_]{2}")


def find(top: Path, files: pd.Series, names: set[str]) -> list[str]:
    """Returns the texts of which most lines name a photo: tables saved as text, and lists.

    The names of photos are those of `paths.name_key`.
    """
    lists = []
    for path in files[files.str.lower().str.endswith(SUFFIXES) & ~files.str.contains(_OF_YOLO)]:
        rows = [re.split(r"[\t,;|]", line) for line in cells.first_lines(top / path)]
        if rows and 2 * sum(names_photo(row, names) for row in rows) >= len(rows):
            lists.append(path)
    return lists


def names_photo(row: Sequence[str], names: set[str]) -> bool:
    """Returns whether a row has the name of a photo among its cells or their words."""
    return _other_words(row, names) != list(row)


def says_more(rows: Sequence[Sequence[str]], names: set[str]) -> bool:
    """Returns whether rows hold words beside names of photos; a list of a split holds none."""
    return any(_WORD.search(" ".join(_other_words(row, names))) for row in rows)


def photos_in(rows: Sequence[Sequence[str]], photos: pd.Series) -> set[str]:
    """Returns the photos that the cells of a table name, in whichever column."""
    files = list(photos)
    names = {paths.name_key(path) for path in files}
    cells_of = (cell for row in rows for cell in row if isinstance(cell, str))
    written = [cell for cell in cells_of if paths.name_key(cell) in names]
    matched = paths.match(pd.Series(written, dtype="str"), files)
    return set(matched["path"][matched["problem"].isna()])


def _other_words(row: Sequence[str], names: set[str]) -> list[str]:
    """Returns the cells of a row, or their words, that name no photo."""
    left = []
    for cell in row:
        words = cell.split()
        others = [word for word in words if paths.name_key(word) not in names]
        if paths.name_key(cell.strip()) not in names:
            left += [cell] if others == words else others
    return left
