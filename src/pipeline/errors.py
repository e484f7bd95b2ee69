"""Mistakes a person can mend: shown as a sentence, never as a traceback."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something the person who runs the pipeline can mend.

    The message says what was found, where, and what to do about it.
    """


def run(main: Callable[[], None]) -> None:
    """Runs a script's `main` and turns a `UserError` into a message and exit code 1."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
