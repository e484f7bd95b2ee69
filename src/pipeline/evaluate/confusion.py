"""Lists which species are taken for which, and the photos that show it."""

import pandas as pd

MISTAKES, PAIRS, EXAMPLES = 40, 10, 4


def rates(predictions: pd.DataFrame) -> pd.DataFrame:
    """Counts how often each species was named as each.

    Args:
        predictions: A row a picture, with columns actual and predicted.

    Returns:
        actual, predicted, photos and rate (share of the actual species' photos); a row for what
        occurs, in the order of names.
    """
    counts = predictions.groupby(["actual", "predicted"]).size().rename("photos").reset_index()
    in_all = counts.groupby("actual")["photos"].transform("sum")
    return counts.assign(rate=counts["photos"] / in_all)


def mistakes(predictions: pd.DataFrame) -> pd.DataFrame:
    """Lists mistakes, the most probable first; of near-duplicates only the first.

    Args:
        predictions: A row a picture: photo, group, box, actual, predicted, probability. The index
            is the pictures' positions in the shards.

    Returns:
        picture (its position), photo, actual, predicted, probability, and alike: how many further
        mistakes of the group are not listed.
    """
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    wrong = wrong.sort_values("probability", ascending=False, kind="stable")
    # A photo may have several boxes, each a picture of its own.
    keys = ["group", "box"]
    alike = wrong.groupby(keys, dropna=False)["photo"].transform("size") - 1
    first = wrong.assign(alike=alike).drop_duplicates(keys)
    columns = ["picture", "photo", "actual", "predicted", "probability", "alike"]
    return first.rename_axis("picture").reset_index()[columns]


def confused_pairs(rates: pd.DataFrame, mistakes: pd.DataFrame) -> pd.DataFrame:
    """Lists the pairs of species that are confused most often, with examples.

    Args:
        rates: From `rates`.
        mistakes: From `mistakes`.

    Returns:
        actual, predicted, photos, rate, and examples: up to four pictures, by their positions.
        At most ten rows, the most photos first.
    """
    pairs = rates[rates["actual"] != rates["predicted"]]
    pairs = pairs.sort_values(["photos", "rate"], ascending=False, kind="stable").head(PAIRS)
    pictures = mistakes.groupby(["actual", "predicted"])["picture"]
    shown = {pair: list(positions.head(EXAMPLES)) for pair, positions in pictures}
    keys = zip(pairs["actual"], pairs["predicted"], strict=True)
    return pairs.assign(examples=[shown.get(pair, []) for pair in keys])
