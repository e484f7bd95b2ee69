"""Draws plots for people."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from pipeline.core import parallel
from pipeline.dataset import plot_style
from pipeline.dataset.shards import Shards

_RATES = 25  # species; of more, there is no room for rates beside the counts
_MOST = 60  # species of a plot; of more, it would be too large to look at, and in the end to draw


def confusion(table: pd.DataFrame, labels: tuple[str, ...], path: Path) -> None:
    """Draws which species were taken for which: counts, and shares of the actual species.

    Of many species, those are drawn that are confused most.

    Args:
        table: With columns actual and predicted.
        labels: The species, in the order of the rows.
        path: The PNG to write.
    """
    counts = confusion_matrix(table["actual"], table["predicted"], labels=list(labels))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shown, title = _most_confused(counts), ""
    if len(shown) < len(labels):
        title = f"the {len(shown)} of {len(labels)} species that are confused most"
    counts, shares = counts[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
    labels = tuple(labels[i] for i in shown)
    side = 2.5 + 0.45 * len(labels)
    with plot_style.figure(path, side, side) as axes:
        axes.grid(False)
        axes.set_title(title)
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


def _most_confused(counts: np.ndarray) -> np.ndarray:
    """Returns the positions of the species of most mistakes, made of them or for them, in order."""
    wrong = counts - np.diag(np.diag(counts))
    mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)
    return np.sort(np.argsort(-mistakes, kind="stable")[:_MOST])


def per_species(species: pd.DataFrame, path: Path) -> None:
    """Draws each species' recall and precision with their intervals, the worst recall on top.

    Of many species, those of the worst recall are drawn.

    Args:
        species: A row a species: species, support, and recall and precision, each with columns
            `_low` and `_high`; those without photos are left out.
        path: The PNG to write.
    """
    rows = species[species["support"] > 0].sort_values("recall", ascending=False, kind="stable")
    title = f"the {_MOST} of {len(rows)} species that are found worst" if len(rows) > _MOST else ""
    rows = rows.tail(_MOST)
    places = np.arange(len(rows))
    with plot_style.figure(path, 6.4, 1.5 + 0.3 * len(rows)) as axes:
        for name, marker, above in (("recall", "o", 0.15), ("precision", "s", -0.15)):
            ends = rows[[f"{name}_low", f"{name}_high"]].to_numpy().T
            error = np.abs(ends - rows[name].to_numpy())
            axes.errorbar(
                rows[name], places + above, xerr=error, fmt=marker, linestyle="", label=name
            )
        axes.set_title(title)
        axes.set_yticks(places, rows["species"])
        axes.set(xlim=(-0.02, 1.02), xlabel="share of photos, with 95 % interval")
        axes.legend(loc="lower left")


def reliability(bins: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draws how often answers of each probability are right; a larger dot stands for more photos.

    Args:
        bins: As `trust.reliability` returns them.
        path: The PNG to write.
    """
    rows = pd.DataFrame(bins)
    with plot_style.figure(path, 4.2, 4.2) as axes:
        axes.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1)
        sizes = 10 + 300 * rows["photos"] / rows["photos"].sum()
        axes.scatter(rows["probability"], rows["accuracy"], s=sizes, clip_on=False, zorder=3)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability", ylabel="share that is right")


def risk_coverage(points: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draws the accuracy if only the surest photos are answered.

    Args:
        points: As `trust.risk_coverage` returns them.
        path: The PNG to write.
    """
    rows = pd.DataFrame(points)
    with plot_style.figure(path, 6.4, 3.2) as axes:
        axes.plot(rows["answered"], rows["accuracy"])
        axes.set(xlim=(0, 1), xlabel="share of photos answered, the surest first")
        axes.set(ylabel="accuracy on them")


def robustness(measured: Mapping[str, Any], path: Path) -> None:
    """Draws the accuracy under each corruption and at each strength, beside the clean one.

    Args:
        measured: As `robustness.measure` returns it.
        path: The PNG to write.
    """
    corruptions = pd.DataFrame(measured["corruptions"]).sort_values("accuracy")
    strengths = pd.DataFrame(measured["strengths"])
    names = [*corruptions["corruption"], *(f"strength {s}" for s in strengths["strength"])]
    values = [*corruptions["accuracy"], *strengths["accuracy"]]
    with plot_style.figure(path, 6.4, 1.2 + 0.26 * len(names)) as axes:
        axes.barh(names[::-1], values[::-1])
        axes.axvline(measured["clean_accuracy"], color="black", label="as they are")
        axes.set(xlim=(0, 1), xlabel="accuracy on worsened pictures")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12))


def mistakes(
    mistakes: pd.DataFrame, shards: Shards, columns: int = 8
) -> list[Sequence[tuple[np.ndarray, str]]]:
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
    return parallel.chunks(tiles, columns)
