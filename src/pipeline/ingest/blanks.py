"""Keeps photos without an animal as a class of their own, so that a recogniser can say so."""

import pandas as pd

from pipeline.inference.pooling import BLANK
from pipeline.sources import labels


def as_species(files: pd.DataFrame) -> pd.DataFrame:
    """Gives files that show nothing the species `blank`, whatever their collection calls it.

    They have no reason against them any more.
    """
    shown = files["species"][files["reason"].isna()].dropna().unique()
    named = files["species"].isin([name for name in shown if labels.kind(name) == BLANK])
    blank = (files["reason"] == BLANK) | (named & files["reason"].isna())
    return files.assign(
        species=files["species"].mask(blank, BLANK),
        reason=files["reason"].mask(blank, None),
        detail=files["detail"].mask(blank, None),
    )
