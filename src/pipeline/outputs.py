"""Outputs that appear whole or not at all, and are the same bytes for the same content."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` when the block ends well.

    What is written may be a file or a folder; missing parent folders are made. If the block
    fails, or the process is killed, `path` is as it was before; only while an old folder makes
    room for a new one is there a moment without either.

    Args:
        path: Where the finished output shall stand. What stands there is replaced.

    Yields:
        The path to write to. Nothing exists there yet.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(partial)
    try:
        yield partial
        if not partial.exists():
            raise FileNotFoundError(f"nothing was written for {path}")
        if path.is_dir():  # a rename replaces a file but not a folder that holds something
            _remove(path)
        partial.replace(path)
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_table(frame: "pd.DataFrame", path: Path | BinaryIO) -> None:
    """Writes a frame as Parquet, the same bytes for the same rows and types."""
    # Imported here: what only wants whole files need not wait for it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), path)


def clear(*paths: Path) -> None:
    """Removes what an earlier run left at `paths`, files and folders alike."""
    for path in paths:
        _remove(path)


def link(source: Path, target: Path) -> None:
    """Lets a file stand in a second place too: a hard link, or a copy where there are none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
