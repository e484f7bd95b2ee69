import errno
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
import sqlalchemy

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


def denied():
    raise PermissionError(13, "Permission denied", "photos/locked")


def denied_half():
    """Where `atomic_write` writes."""
    raise PermissionError(13, "Permission denied", "here/.params.yaml.my_host-12-3.partial")


def read_only_disk():
    raise OSError(errno.EROFS, "Read-only file system", "models/final")


def read_only_database(folder):
    path = folder / "read.db"
    sqlite3.connect(path).execute("CREATE TABLE photos (photo)")
    opened = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        opened.execute("INSERT INTO photos VALUES (1)")
    except sqlite3.OperationalError as error:  # as SQLAlchemy and then MLflow wrap it
        raise RuntimeError("(sqlite3.OperationalError) attempt to write") from error


def gone_database():
    address = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    sqlalchemy.create_engine(address).connect()


def gone_server():
    requests.get("http://127.0.0.1:1", timeout=5)


def test_a_file_of_a_database_is_no_server(tmp_path):
    """Through SQLAlchemy, whose error has the same name as that of a server that is gone."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/a.db", connect_args={"timeout": 0})

    def query(text):
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(text))

    with pytest.raises((sqlalchemy.exc.OperationalError, SystemExit)) as raised:
        errors.run(lambda: query("SELECT * FROM photos"))
    assert "no such table" in str(raised.value), "it is no mistake of a person's"
    query("CREATE TABLE photos (photo)")
    holder = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SystemExit, match="another process works on a database of this folder"):
        errors.run(lambda: query("INSERT INTO photos VALUES (1)"))


def interrupted():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("main", "message"),
    [
        (denied, r"photos/locked: Permission denied; give yourself the right"),
        (denied_half, r"error: here/params\.yaml: Permission denied; give yourself the right"),
        (read_only_disk, r"models/final: Read-only file system; .* name another place"),
        (gone_database, r"the database of tune\.storage or of MLflow ended or cannot be reached"),
        (gone_server, r"MLflow's tracking server .* ended or cannot be reached"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(main, message):
    with pytest.raises(SystemExit, match=message) as stop:
        errors.run(main)
    assert "\n" not in str(stop.value)


def test_a_database_that_may_not_be_written_is_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match="a database of this folder cannot be written"):
        errors.run(lambda: read_only_database(tmp_path))


def test_ctrl_c_shows_no_traceback(capsys):
    with pytest.raises(SystemExit) as stop:
        errors.run(interrupted)
    assert stop.value.code == 130
    assert capsys.readouterr().err == "interrupted: what was finished is not done twice\n"


def test_a_reader_that_has_seen_enough_shows_no_traceback():
    code = (
        "from pipeline.core import errors\n"
        "def main():\n    while True:\n        print('x' * 1000)\n"
        "errors.run(main)"
    )
    command = f"{sys.executable} -c {shlex.quote(code)} | head -c 10"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("x" * 10, "")
