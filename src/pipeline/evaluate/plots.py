"""Draws plots for people."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from pipeline.dataset.shards import Shards


def confusion(table: pd.DataFrame, labels: tuple[str, ...], path: Path) -> None:
    """Draws which species were taken for which: counts, shaded by share of the actual species.

    Args:
        table: With columns actual and predicted.
        labels: The species, in the order of the rows.
        path: The PNG to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    counts = confusion_matrix(table["actual"], table["predicted"], labels=list(labels))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.42 * len(labels)
    figure, axes = plt.subplots(figsize=(side, side), layout="constrained")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="actual")
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def mistakes(
    predictions: pd.DataFrame, shards: Shards, limit: int = 40, columns: int = 8
) -> list[list[tuple[np.ndarray, str]]]:
    """Lays out the mistakes whose probability was highest, one of each group of near-duplicates.

    Args:
        predictions: A row a picture: group, box, actual, predicted, probability. The index is the
            pictures' positions in the shards.
        shards: The pictures.
        limit: How many mistakes to show. Defaults to 40.
        columns: How many in a row. Defaults to 8.

    Returns:
        Rows for `contact_sheets.sheet`, the highest probability first.
    """
    wrong = predictions[predictions["actual"] != predictions["predicted"]]
    wrong = wrong.sort_values("probability", ascending=False, kind="stable")
    wrong = wrong.drop_duplicates(["group", "box"]).head(limit)
    tiles = [
        (shards.take([row.Index])[0], f"{row.actual}: {row.predicted}? {row.probability:.2f}")
        for row in wrong.itertuples()
    ]
    return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
