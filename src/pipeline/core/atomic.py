"""Outputs that appear whole or not at all, and never in place of what somebody else wrote."""

import hashlib
import itertools
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipeline.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MARKER = ".written-by-animal"  # in a folder; its lines are those of sha256sum
_HOST = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())
_PARTIAL = re.compile(r"\..+\.(?P<host>\w+)-(?P<process>\d+)-\d+\.partial")
_NUMBERS = itertools.count()  # threads may write the same path at once
_DAY = 24 * 3600  # seconds
_OF_THE_DESKTOP = (".DS_Store", "Thumbs.db", "desktop.ini")  # file managers write these anywhere


@contextmanager
def atomic_write(path: str | Path, contents: Sequence[str] | None = None) -> Iterator[Path]:
    """Yields a path beside `path` to write to, and renames it to `path` when the block succeeds.

    The block may write a file or a folder; missing parent folders are created. If the block fails,
    or the process is killed, `path` is as it was before. Only between two renames, of an old folder
    and of the new one, does neither exist. Of processes that write the same path at the same time,
    the last one's output stays.

    Args:
        path: The finished output, one of the project's own: paths that a person names go through
            `new_file` or `own_folder`. A file replaces a file and a folder a folder.
        contents: Patterns of the names that this project writes into the folder, where people
            could have put something too. Defaults to None: not checked.

    Yields:
        The path to write to. Nothing exists there yet.

    Raises:
        UserError: `path` is of another kind, or holds a name that `contents` does not match.
        FileNotFoundError: The block wrote nothing.
    """
    path = Path(path)
    if contents is not None:
        require_only(path, contents)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        yield partial
        if not partial.exists():
            raise FileNotFoundError(f"nothing was written for {path}")
        if path.exists() and path.is_dir() != partial.is_dir():
            kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            raise UserError(
                f"{path} is {kinds[0]}, and {kinds[1]} is to be written there: move it elsewhere"
            )
        if path.is_dir():  # a rename replaces a file but not a folder that holds something
            former = partial_path(path)
            path.replace(former)
            partial.replace(path)
            clear(former)
        else:
            partial.replace(path)
    finally:
        clear(partial)


def partial_path(path: Path) -> Path:
    """Returns a path beside `path` to write to, which no other process or thread uses."""
    _remove_abandoned(path.parent.absolute())
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{next(_NUMBERS)}.partial")


@cache  # a folder of downloads has ten thousands of files, each written by a call
def _remove_abandoned(folder: Path) -> None:
    """Removes what processes that ended have left half-written in a folder.

    These are the processes of this machine that do not run any more, and those of other machines
    that share the folder and wrote nothing for a day.
    """
    for path in folder.glob(".*.partial"):
        if written := _PARTIAL.fullmatch(path.name):
            if written["host"] != _HOST:
                abandoned = time.time() - _last_change(path) > _DAY
            else:
                abandoned = not _runs(int(written["process"]))
            if abandoned:
                clear(path)


@contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to, and renames it to a file that a person named.

    Args:
        path: The file, as it was typed. Nothing may exist there.

    Yields:
        The path to write to. Nothing exists there yet.

    Raises:
        UserError: Something exists at `path`, before the block or after it; it is left as it is.
    """
    require_new(path)
    with atomic_write(path) as partial:
        yield partial
        require_new(path)  # it may have been put there since


@contextmanager
def own_folder(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to, and renames it to a folder that a person named.

    The folder gets a `MARKER` with the hashes of its files, by which a later call knows it.

    Args:
        path: The folder, as it was typed: absent, empty, or written by an earlier call and
            unchanged since.

    Yields:
        The path to write to. Nothing exists there yet.

    Raises:
        UserError: Another folder or file exists at `path`, before the block or after it.
    """
    require_own(path)
    with atomic_write(path) as partial:
        yield partial
        hashes = _hashes(partial)
        lines = [f"{digest}  {name}\n" for name, digest in sorted(hashes.items())]
        (partial / MARKER).write_text("".join(lines), encoding="utf-8")
        require_own(path)


def require_new(path: str | Path) -> None:
    """Checks that a file may be written to a path that a person named.

    Args:
        path: The file, as it was typed.

    Raises:
        UserError: Something exists at `path`, be it a link to nowhere, or no file can be there.
    """
    if os.path.isdir(path):  # noqa: PTH112 (a Path has lost the slash at the end)
        raise UserError(f"{path} is a folder, and a file is to be written: name a file in it")
    if os.path.lexists(path):
        raise UserError(
            f"{path} exists and is not replaced: name another file, or move it elsewhere"
        )
    if str(path).endswith(("/", os.sep)):
        raise UserError(f"{path} names a folder, and a file is to be written: name a file in it")
    _require_parents(Path(path))


def require_own(path: str | Path) -> None:
    """Checks that a folder may be written to a path that a person named.

    Args:
        path: The folder, as it was typed: absent, empty, or written by `own_folder` and unchanged
            since.

    Raises:
        UserError: It is anything else; names a file that this project did not write.
    """
    path = Path(path)
    here = Path.cwd().resolve()
    if here.is_relative_to(path.resolve()):
        raise UserError(f"{path} is the current folder or one above it: name a new folder")
    if not os.path.lexists(path):
        return _require_parents(path)
    if path.is_symlink() or not path.is_dir():
        raise UserError(f"{path} is not a folder that can be replaced: name a new folder")
    inside = _hashes(path)
    marker = path / MARKER
    lines = marker.read_text(encoding="utf-8").splitlines() if marker.is_file() else []
    written = dict(line.split("  ", 1)[::-1] for line in lines if "  " in line)
    for name, digest in sorted(inside.items()):
        if written.get(name) != digest:
            how = "was changed since" if name in written else "was not written by this command"
            raise UserError(
                f"{path} is not replaced, for {name} in it {how}: name a new folder, or move it "
                "elsewhere"
            )


def require_only(folder: Path, contents: Sequence[str]) -> None:
    """Checks that a folder holds nothing but what this project writes there.

    Args:
        folder: The folder; it may be absent.
        contents: Patterns of the names that may be in it.

    Raises:
        UserError: It is not a folder, or holds something else; names it.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is where this project writes a folder: move the file elsewhere")
    for name in sorted(entry.name for entry in folder.iterdir()):
        if not any(fnmatch(name, pattern) for pattern in (*contents, *_OF_THE_DESKTOP)):
            raise UserError(
                f"{folder} holds {name}, which this project did not write, and is about to be "
                f"written anew: move {name} elsewhere"
            )


def require_writable(folder: Path) -> None:
    """Checks that files can be put into a folder that is there or is to be made.

    Raises:
        UserError: It, or the folder that it is to be made in, may not be written to.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} may not be written to: name a file elsewhere")


def _require_parents(path: Path) -> None:
    above = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not above.is_dir():
        raise UserError(f"{path} cannot be written, for {above} is not a folder")


def files_below(folder: Path) -> set[str]:
    """Returns the relative paths of all files below a folder but those of file managers."""
    return {
        Path(parent, name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
        if name not in _OF_THE_DESKTOP
    }


def _hashes(folder: Path) -> dict[str, str]:
    """Returns the sha256 of each file below a folder but its marker, by relative path.

    A link is somebody's work too and may lead anywhere: its entry is no hash, and equals none.
    """
    hashes = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            hashes[name] = "link"
        elif path.is_file() and name != MARKER and name not in _OF_THE_DESKTOP:
            with path.open("rb") as file:
                hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _runs(process: int) -> bool:
    """Tells whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is somebody else's
        return True
    return True


def _last_change(path: Path) -> float:
    """Returns when a file, or anything in a folder, was last changed; now if it just went."""
    changes = [time.time()]
    with suppress(FileNotFoundError):
        changes = [one.lstat().st_mtime for one in (path, *path.rglob("*"))]
    return max(changes)


def write_table(frame: "pd.DataFrame", path: Path | BinaryIO) -> None:
    """Writes a frame as Parquet, the same bytes for the same rows and types.

    Args:
        frame: The rows. Its index is not written.
        path: The file, or an open one.
    """
    # Imported here, for most users of this module write no tables.
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), path)


def clear(*paths: Path) -> None:
    """Removes files and folders; each may be absent."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Creates a hard link to a file, or a copy where there are no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
