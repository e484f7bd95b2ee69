"""Finds the ranks above a species, for photos that are given another one."""

import pandas as pd

from pipeline.sources import annotations


def by_species(inspected: pd.DataFrame) -> pd.DataFrame:
    """Returns the class, order, family and genus of each species, as far as they are known.

    Args:
        inspected: A row a file, from `manifest.inspect`.

    Returns:
        The columns of ranks that `inspected` has; the index is the species of its good photos.
    """
    good = inspected[inspected["reason"].isna()].drop_duplicates("species").set_index("species")
    return good[[column for column in annotations.RANKS if column in good]]
