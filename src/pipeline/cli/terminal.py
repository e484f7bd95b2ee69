"""Colours, on a terminal alone: a file or another program gets plain text."""

import os
import sys

_CODES = {"green": 32, "yellow": 33, "red": 31, "bold": 1}


def coloured(text: str, colour: str) -> str:
    """Returns a text in a colour, or as it is where nobody would see it.

    Args:
        text: The text.
        colour: `green`, `yellow`, `red` or `bold`.
    """
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m"
