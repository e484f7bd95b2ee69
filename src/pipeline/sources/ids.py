"""Normalises identifiers, which programs write as text, integers or decimal numbers."""

from pathlib import PurePosixPath
from typing import Any

import pandas as pd


def plain(written: pd.Series) -> pd.Series:
    """Identifiers as text, the same for 1, "1", " 1 " and 1.0; null where there is none."""
    text = written.astype("str").str.strip()
    text = text.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
    return text.mask(written.isna() | (text == ""))


def first_there(names: list[pd.Series], files: pd.Series) -> pd.Series:
    """Chooses a path for each row, of several that its photo may have been saved under.

    Args:
        names: Paths, the likeliest first; null where a row has none.
        files: Paths on the disk.

    Returns:
        The first one that some file is called like, whatever its folder, case and ending; where
        there is none, the last.
    """
    there = {PurePosixPath(file.casefold()).stem for file in files}
    chosen = names[-1]
    for several in reversed(names[:-1]):
        stems = several.map(lambda path: PurePosixPath(path.casefold()).stem, na_action="ignore")
        chosen = several.where(stems.isin(there), chosen)
    return chosen


def place(latitude: Any, longitude: Any, decimals: int = 4) -> str | None:
    """Returns coordinates as the name of a place; None where they are none.

    They are degrees, as numbers or text, with a decimal comma too. Four decimals are some 10 m, two
    some kilometre.
    """
    try:
        north, east = (float(str(degrees).replace(",", ".")) for degrees in (latitude, longitude))
    except ValueError:
        return None
    is_there = abs(north) <= 90 and abs(east) <= 180
    return f"{north:.{decimals}f},{east:.{decimals}f}" if is_there else None


def places(latitude: pd.Series, longitude: pd.Series, decimals: int = 4) -> pd.Series:
    """Returns the `place` of each row; null where it has none."""
    rows = zip(latitude, longitude, strict=True)
    return pd.Series([place(*row, decimals) for row in rows], latitude.index, dtype="str")
