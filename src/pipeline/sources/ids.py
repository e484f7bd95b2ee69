"""Normalises identifiers, which programs write as text, integers or decimal numbers."""

from pathlib import PurePosixPath

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


def places(latitude: pd.Series, longitude: pd.Series, decimals: int = 4) -> pd.Series:
    """Returns coordinates as the name of a place; null where there are none.

    Args:
        latitude: Degrees, as numbers or text; a decimal comma is one too.
        longitude: Degrees.
        decimals: Four are some 10 m. Defaults to 4.
    """
    north, east = (
        pd.to_numeric(column.astype("str").str.replace(",", "."), errors="coerce")
        for column in (latitude, longitude)
    )
    there = north.abs().le(90) & east.abs().le(180)
    texts = (column.map(f"{{:.{decimals}f}}".format) for column in (north, east))
    return (next(texts) + "," + next(texts)).where(there)
