"""Mistakes a person can mend: shown as a sentence, never as a traceback."""

import errno
import sys
from collections.abc import Callable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How others say it: of C's functions, of SQLite, and of numpy, which writes part of an array.
_FULL_IN_WORDS = ("No space left on device", "disk is full", " requested and ")


class UserError(Exception):
    """Something the person who runs the pipeline can mend.

    The message says what was found, where, and what to do about it.
    """


def run(main: Callable[[], None]) -> None:
    """Runs a script's `main` and turns a `UserError` into a message and exit code 1; so too a disk
    that is full."""
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except Exception as error:
        if not _disk_is_full(error):
            raise
        sys.exit(
            "error: no space left on the disk; free some (.cache may be deleted at any time) and "
            "run it again: nothing half-written is left, and what was finished is not done twice"
        )


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether that is why this was raised, or what was raised before it."""
    if error is None:
        return False
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    said = any(words in str(error) for words in _FULL_IN_WORDS)
    return said or _disk_is_full(error.__cause__ or error.__context__)
