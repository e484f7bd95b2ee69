"""Mistakes a person can mend: shown as a sentence, never as a traceback."""

import errno
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_PARTIAL = re.compile(r"\.([^/]+)\.\w+-\d+-\d+\.partial$")  # see `atomic.partial_path`
# What libraries raise when a server does not answer, by the library that speaks to it.
_SERVERS = {
    "requests": "MLflow's tracking server (MLFLOW_TRACKING_URI)",
    "urllib3": "MLflow's tracking server (MLFLOW_TRACKING_URI)",
    "sqlalchemy": "the database of tune.storage or of MLflow",
    "distributed": "the Dask cluster of parallel.address",
}
_UNREACHABLE = {
    *("ConnectionError", "MaxRetryError", "NewConnectionError", "OperationalError"),
    *("CommClosedError", "KilledWorker", "FutureCancelledError", "FutureLostError"),
}
# numpy.ndarray.tofile raises a bare OSError, without a number, when it can write only a part.
_PARTLY_WRITTEN = re.compile(r"^\d+ requested and \d+ written$")


class UserError(Exception):
    """A mistake that the person who runs the pipeline can mend.

    The message says what was found, where, and what to do about it.
    """


def run(main: Callable[[], None]) -> None:
    """Runs a script's `main` and turns a person's mistake into a message and exit code 1.

    A full disk, a file without rights and a server that is gone are such mistakes too; everything
    else keeps its traceback.

    Args:
        main: What to run.

    Raises:
        SystemExit: `main` raised one of these, or was interrupted.
    """
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted: what was finished is not done twice", file=sys.stderr)
        sys.exit(130)  # as a shell has it: 128 and the number of SIGINT
    except BrokenPipeError:  # `animal versions | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        message = next(filter(None, map(_explain, _chain(error))), None)
        if message is None:
            raise
        sys.exit(f"error: {message}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _explain(error: BaseException) -> str | None:
    """Returns a sentence for an error of the machine that a person can mend; None for another.

    It goes by types and numbers rather than by words: a person's own text may contain any words.
    """
    if _disk_is_full(error):
        return (
            "no space left on the disk; free some (.cache may be deleted at any time) and "
            "run it again: nothing half-written is left, and what was finished is not done twice"
        )
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what SQLite adds to it
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return (
                f"a database of this folder cannot be written ({error}): give yourself the right "
                "to mlflow.db and .cache, and to the folder itself"
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return f"another process works on a database of this folder ({error}): wait for it"
    elif isinstance(error, OSError) and error.errno in _DENIED and error.filename is not None:
        names = [str(n) for n in (error.filename, error.filename2) if n is not None]
        names = " and ".join(_PARTIAL.sub(r"\1", name) for name in names)
        return (
            f"{names}: {error.strerror}; give yourself the right to it (`ls -ld` shows who has "
            "it), or name another place"
        )
    elif isinstance(getattr(error, "orig", None), sqlite3.Error):
        return None  # SQLAlchemy's, of a file; its cause comes next
    elif type(error).__name__ in _UNREACHABLE:
        server = _SERVERS.get(type(error).__module__.split(".")[0])
        if server:
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            return (
                f"{server} ended or cannot be reached ({first_line}); start it and run "
                "this again: what was finished is not done twice"
            )
    return None


def _disk_is_full(error: BaseException) -> bool:
    """Tells whether a full disk raised an error."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and (
        error.errno in _FULL_DISK
        or (error.errno is None and bool(_PARTLY_WRITTEN.match(str(error))))
    )
