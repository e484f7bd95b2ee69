"""Draws all plots in one style: legible in grey and to the colour-blind."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito 2008, Color Universal Design; in an order in which neighbours differ in grey too.
COLOURS = ("#0072B2", "#E69F00", "#000000", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#F0E442")
SHADES = "Blues"  # one colour, lighter or darker
_LINES = ("-", "--", ":", "-.")
_STYLE = {
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.dpi": 120,
}


@contextmanager
def figure(path: Path, width: float = 6.4, height: float = 4.2) -> Iterator["Axes"]:
    """Yields the axes of a new figure, and writes it as PNG when the block succeeds.

    Lines differ in colour and in dashes.

    Args:
        path: The PNG to write.
        width: In inches of 120 px. Defaults to 6.4.
        height: Likewise. Defaults to 4.2.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import matplotlib.rcsetup

    dashes = [_LINES[i % len(_LINES)] for i in range(len(COLOURS))]
    cycle = matplotlib.rcsetup.cycler(color=COLOURS, linestyle=dashes)
    with plt.rc_context(_STYLE | {"axes.prop_cycle": cycle}):
        drawn, axes = plt.subplots(figsize=(width, height), layout="constrained")
        yield axes
        drawn.savefig(path)
        plt.close(drawn)
