"""Lets the processes of one folder run a block one after the other."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.core.errors import UserError


@contextmanager
def exclusive(path: Path, seconds: float) -> Iterator[None]:
    """Runs the block while no other process runs one with the same path.

    SQLite's lock of a file ends with its process, however that ends. Machines that share the folder
    are held apart only if its file system has locks.

    Args:
        path: A file for the lock; it is created, and stays.
        seconds: How long to wait for another process.

    Raises:
        UserError: The file cannot be written, or another process holds the lock for so long.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = sqlite3.connect(path, timeout=seconds, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except (OSError, sqlite3.OperationalError) as error:
        raise UserError(f"{path.absolute()} cannot be locked: {error}") from None
    with closing(lock):
        yield
