"""Mistakes a person can mend: shown as a sentence, never as a traceback."""

import errno
import re
import sqlite3
import sys
from collections.abc import Callable

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# numpy.ndarray.tofile raises a bare OSError, without a number, when it can write only a part.
_PARTLY_WRITTEN = re.compile(r"^\d+ requested and \d+ written$")


class UserError(Exception):
    """A mistake that the person who runs the pipeline can mend.

    The message says what was found, where, and what to do about it.
    """


def run(main: Callable[[], None]) -> None:
    """Runs a script's `main` and turns a person's mistake into a message and exit code 1.

    A full disk is such a mistake too; everything else keeps its traceback.

    Args:
        main: What to run.

    Raises:
        SystemExit: `main` raised a `UserError`, or the disk is full.
    """
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
    """Returns whether a full disk raised an error, or the one before it."""
    if error is None:
        return False
    # By numbers and types rather than by words: a person's own text may contain any words.
    if isinstance(error, sqlite3.Error):
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    elif isinstance(error, OSError):
        full = error.errno in _FULL_DISK or (
            error.errno is None and bool(_PARTLY_WRITTEN.match(str(error)))
        )
    else:
        full = False
    return full or _disk_is_full(error.__cause__ or error.__context__)
