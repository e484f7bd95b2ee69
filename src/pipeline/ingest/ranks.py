"""Finds the ranks above a species, for photos that are given another one."""

import pandas as pd

from pipeline.sources import annotations


def by_species(inspected: pd.DataFrame) -> pd.DataFrame:
    """Returns the ranks of each species that good photos show, as far as columns tell them.

    Args:
        inspected: A row a file, from `manifest.inspect`.
    """
    good = inspected[inspected["reason"].isna()].drop_duplicates("species").set_index("species")
    return good[[column for column in annotations.RANKS if column in good]]
