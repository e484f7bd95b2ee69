"""Draws some of many pictures, so that rare species are among them."""

from typing import Literal

import numpy as np
import pandas as pd


def sample(pictures: pd.DataFrame, count: int | Literal["all"]) -> pd.DataFrame:
    """Draws pictures of every species in turn, so that rare ones are among them.

    Args:
        pictures: A row a picture, with a column species.
        count: How many to draw, or `all`; where there are fewer, all are drawn.

    Returns:
        Rows of `pictures`, in their order.
    """
    if count == "all":
        return pictures
    shuffled = pictures.sample(frac=1, random_state=0)
    turn = shuffled.groupby("species").cumcount()
    drawn = shuffled.iloc[np.argsort(turn, kind="stable")[:count]]
    return drawn.sort_index()
