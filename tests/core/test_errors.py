import sqlite3
from pathlib import Path

import numpy as np
import pytest

from pipeline.core import errors


def full_file():
    with Path("/dev/full").open("wb") as file:
        file.write(b"x" * 100_000)


def full_array():
    with Path("/dev/full").open("wb") as file:
        np.save(file, np.zeros(100_000))


def full_array_without_a_number():
    with Path("/dev/full").open("wb") as file:
        np.zeros(100_000).tofile(file)


def full_database():
    with sqlite3.connect(":memory:") as database:
        database.execute("PRAGMA max_page_count = 1")
        database.execute("CREATE TABLE photos (photo)")


def full_while_it_ended():
    """What MLflow does: it wants to note that the run failed, and cannot."""
    try:
        full_file()
    finally:
        raise RuntimeError("disk I/O error")


@pytest.mark.parametrize(
    "main",
    [full_file, full_array, full_array_without_a_number, full_database, full_while_it_ended],
)
def test_a_full_disk_is_one_sentence_that_says_what_to_do(main):
    with pytest.raises(SystemExit, match=r"no space left on the disk; free some.*run it again"):
        errors.run(main)


def test_another_error_is_none_of_a_full_disk():
    with pytest.raises(FileNotFoundError):
        errors.run(lambda: Path("/nowhere/at/all").read_bytes())


@pytest.mark.parametrize(
    "error",
    [
        KeyError("3 requested and 2 written"),
        OSError("species requested and found"),
        RuntimeError("the disk is full of photos"),
        sqlite3.OperationalError("no such table: disk is full"),
    ],
)
def test_a_text_that_sounds_like_a_full_disk_is_none(error):
    def main():
        raise error

    with pytest.raises(type(error)):
        errors.run(main)


def test_a_mistake_of_a_person_is_a_sentence():
    def main():
        raise errors.UserError("raise split.validation")

    with pytest.raises(SystemExit, match=r"error: raise split\.validation"):
        errors.run(main)
