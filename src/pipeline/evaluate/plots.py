"""Draws plots for people."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from pipeline.dataset import plot_style
from pipeline.dataset.shards import Shards

_RATES = 25  # species; of more, there is no room for rates beside the counts


def confusion(table: pd.DataFrame, labels: tuple[str, ...], path: Path) -> None:
    """Draws which species were taken for which: counts, and shares of the actual species.

    Args:
        table: With columns actual and predicted.
        labels: The species, in the order of the rows.
        path: The PNG to write.
    """
    counts = confusion_matrix(table["actual"], table["predicted"], labels=list(labels))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.45 * len(labels)
    with plot_style.figure(path, side, side) as axes:
        axes.grid(False)
        axes.imshow(shares, cmap=plot_style.SHADES, vmin=0, vmax=1)
        axes.set(xlabel="predicted", ylabel="actual")
        axes.set_xticks(range(len(labels)), labels, rotation=90)
        axes.set_yticks(range(len(labels)), labels)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                rate = f"\n{shares[row, column]:.0%}" if len(labels) <= _RATES else ""
                text = f"{count}{rate}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)


def per_species(species: pd.DataFrame, path: Path) -> None:
    """Draws each species' recall and precision with their intervals, the worst recall on top.

    Args:
        species: A row a species: species, support, and recall and precision, each with columns
            `_low` and `_high`; those without photos are left out.
        path: The PNG to write.
    """
    rows = species[species["support"] > 0].sort_values("recall", ascending=False, kind="stable")
    places = np.arange(len(rows))
    with plot_style.figure(path, 6.4, 1.5 + 0.3 * len(rows)) as axes:
        for name, marker, above in (("recall", "o", 0.15), ("precision", "s", -0.15)):
            ends = rows[[f"{name}_low", f"{name}_high"]].to_numpy().T
            error = np.abs(ends - rows[name].to_numpy())
            axes.errorbar(
                rows[name], places + above, xerr=error, fmt=marker, linestyle="", label=name
            )
        axes.set_yticks(places, rows["species"])
        axes.set(xlim=(-0.02, 1.02), xlabel="share of photos, with 95 % interval")
        axes.legend(loc="lower left")


def mistakes(
    mistakes: pd.DataFrame, shards: Shards, columns: int = 8
) -> list[list[tuple[np.ndarray, str]]]:
    """Lays out mistakes with what they show, and what they were taken for.

    Args:
        mistakes: A row a mistake, from `confusion.mistakes`.
        shards: The pictures.
        columns: How many in a row. Defaults to 8.

    Returns:
        Rows for `contact_sheets.sheet`.
    """
    tiles = [
        (shards.take([row.picture])[0], f"{row.actual}: {row.predicted}? {row.probability:.2f}")
        for row in mistakes.itertuples()
    ]
    return [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
