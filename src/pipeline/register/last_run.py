"""Tells whether stage register would do again just what it did the last time.

The registry is outside DVC, so the stage always runs. Where the registry is a SQLite database, its
file changes with whatever anybody does in it. If it is as the stage left it, and so is all that the
stage reads and writes, nothing is left to do, and MLflow need not even be imported.
"""

import hashlib
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.core import atomic, moved_project, params, tracking, workspace

_LEFT = Path(".cache/registered.sha256")


def inputs(limits: params.Register) -> str | None:
    """Returns a digest of what the stage goes by: files, limits and the packages installed.

    Files are known by size, times and inode.

    Args:
        limits: `register` of the params.

    Returns:
        None where not all of it can be seen.
    """
    packages = sorted(path.name for top in sys.path for path in Path(top).glob("*.dist-info"))
    seen = [str(Path.cwd()), limits.model_dump_json(), sys.version, *packages]
    try:
        for path in sorted(file for dep in _stage()["deps"] for file in _files(Path(dep))):
            status = path.stat()
            times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
            seen.append(f"{path} {status.st_size} {times} {status.st_ino}")
    except OSError:  # there is no dvc.yaml, or a file went meanwhile
        return None
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def unchanged(read: str | None) -> bool:
    """Tells whether all is as the last run left it; False where that cannot be told.

    Records of a project that was moved are mended before.

    Args:
        read: What `inputs` returned.
    """
    if uri := tracking.local_uri():
        try:
            moved_project.mend(uri)
        except sqlite3.Error:  # the run meets it too, after it has cleared what the last one wrote
            return False
    return _LEFT.is_file() and _state(read) == _LEFT.read_text(encoding="utf-8")


def remember(read: str | None) -> None:
    """Writes down what a run left, after all else that it writes.

    What another program did in the registry since the decision counts as seen.

    Args:
        read: What `inputs` returned before the run.
    """
    with suppress(OSError), atomic.atomic_write(_LEFT) as path:  # the stage is done anyway
        path.write_text(_state(read) or "nothing to go by", encoding="utf-8")


def _state(read: str | None) -> str | None:
    """Returns a digest of inputs, registry and outputs; None where not all of it can be seen.

    Registry and outputs go by their content: a database is written in place within one tick of the
    clock, and DVC moves outputs into its cache and links them back.
    """
    uri = tracking.local_uri()
    registry = moved_project.database(uri) if uri else None
    if read is None or registry is None or Path(f"{registry.resolve()}-wal").exists():
        return None
    state = [read]
    try:
        for path in (registry.resolve(), *workspace.outputs(_stage())):
            with path.open("rb") as file:
                state.append(f"{path} {hashlib.file_digest(file, 'sha256').hexdigest()}")
    except OSError:
        return None
    return hashlib.sha256("\n".join(state).encode()).hexdigest()


def _stage() -> dict[str, Any]:
    return YAML(typ="safe").load(Path("dvc.yaml"))["stages"]["register"]


def _files(path: Path) -> Iterator[Path]:
    """Yields a file itself, or the files below a folder but those that Python compiles."""
    if not path.is_dir():
        yield path
    for name in atomic.files_below(path):
        if "__pycache__" not in name:
            yield path / name
