"""What the bytes of each file of a collection say: looked at once, and remembered."""

import hashlib
import importlib.metadata
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

from pipeline.core import parallel
from pipeline.core.progress import track
from pipeline.dataset import image_statistics, near_duplicates
from pipeline.inference import decoding

_FILES_A_JOB = 64
_ROWS_A_QUERY = 500  # one by one they take several times as long
_SECONDS_BETWEEN_COMMITS = 1.0
# A file that was written so shortly before may be written again without its times telling: file
# systems count in steps of up to two seconds.
_TOO_FRESH = 2e9  # ns


class Look(NamedTuple):
    """What the bytes of one file say, whatever its name and place.

    Every field is a number or a string that JSON can hold, or None.

    Attributes:
        photo: `decoding.identity` of the bytes; None where they cannot be read.
        width: As the photo is looked at (px), as are the following None where `reason` is not.
        height: Likewise.
        phash: `near_duplicates.phash` of the picture.
        taken_at: The camera's time (ISO 8601, no zone); None where the file does not say.
        format: What the bytes are, as in `decoding.Sight`.
        cut_short: Whether they end before the picture does, as in `decoding.Sight`.
        sharpness: As are the following, one of `image_statistics.Measures`.
        contrast: Likewise.
        darkest: Likewise.
        lightest: Likewise.
        colours: Likewise.
        reason: Why the bytes give no picture; None where they do.
        detail: The reason in words.
    """

    photo: str | None = None
    width: int | None = None
    height: int | None = None
    phash: int | None = None
    taken_at: str | None = None
    format: str | None = None
    cut_short: bool = False
    sharpness: float | None = None
    contrast: float | None = None
    darkest: int | None = None
    lightest: int | None = None
    colours: str | None = None
    reason: str | None = None
    detail: str | None = None


def look(data: bytes, max_pixels: int) -> Look:
    """Decodes the bytes of a file and takes down what they say."""
    photo = decoding.identity(data)
    try:
        seen = decoding.inspect(data, max_pixels)
    except decoding.PhotoError as error:
        return Look(photo, reason=error.reason, detail=str(error))
    phash, measures = near_duplicates.phash(seen.picture), image_statistics.measure(seen.picture)
    return Look(
        photo,
        seen.width,
        seen.height,
        phash,
        seen.taken_at,
        seen.format,
        seen.cut_short,
        **measures._asdict(),
    )


def at(root: Path, paths: list[str], max_pixels: int, jobs: int, cache: Path) -> Iterator[Look]:
    """Looks at files, but for those that were looked at before and have not changed since.

    A file whose size, times and inode are those of the last time is not even opened; one with the
    bytes of the last time is read but not decoded. What is seen is written down every second, so a
    killed run goes on where it was.

    Args:
        root: The folder that the paths start from.
        paths: The files.
        max_pixels: As in `decoding.inspect`.
        jobs: Processes to use; they change nothing in the result.
        cache: Folder for what was seen; safe to delete at any time.

    Yields:
        A look for each path, in their order.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = f"{root.absolute()}/"
    with closing(sqlite3.connect(cache / f"{_key(max_pixels)}.sqlite")) as seen:
        seen.execute(
            "CREATE TABLE IF NOT EXISTS looks (file TEXT PRIMARY KEY, stamp TEXT, look TEXT)"
        )
        changed, last = _changed(seen, folder, paths)
        batches = (  # made as they are asked for: a file that waits costs a pointer
            [(folder + path, last.get(path)) for path in chunk]
            for chunk in parallel.chunks(changed, _FILES_A_JOB)
        )
        done = parallel.each(partial(_look_all, max_pixels), batches, jobs)
        committed = time.monotonic()
        for rows in track(done, len(changed), "look at", count=len):
            seen.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?, ?)", rows)
            if time.monotonic() - committed > _SECONDS_BETWEEN_COMMITS:
                seen.commit()
                committed = time.monotonic()
        seen.commit()
        for chunk in parallel.chunks(paths, _ROWS_A_QUERY):
            written = ",".join(look for _, look in _rows(seen, folder, chunk))
            yield from starmap(Look, json.loads(f"[{written}]"))


def _key(max_pixels: int) -> str:
    """Names what a look depends on besides the file's bytes: code, libraries and settings."""
    modules = (__file__, decoding.__file__, near_duplicates.__file__, image_statistics.__file__)
    code = [hashlib.sha256(Path(module).read_bytes()).hexdigest() for module in modules]
    versions = [importlib.metadata.version(name) for name in ("pillow", "numpy")]
    content = [*code, *versions, decoding.FORMATS, max_pixels]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _rows(
    seen: sqlite3.Connection, folder: str, paths: list[str]
) -> list[tuple[str | None, str | None]]:
    """The stamp and the look of each path as they were written down; None for one that is new."""
    files = [folder + path for path in paths]
    asked = f"SELECT * FROM looks WHERE file IN ({','.join('?' * len(files))})"
    rows = {file: row for file, *row in seen.execute(asked, files)}
    return [rows.get(file, (None, None)) for file in files]


def _changed(
    seen: sqlite3.Connection, folder: str, paths: list[str]
) -> tuple[list[str], dict[str, str]]:
    """The paths of files that are new or not as they were, and the last looks of the latter."""
    changed, last = [], {}
    for chunk in parallel.chunks(paths, _ROWS_A_QUERY):
        for path, (stamp, look) in zip(chunk, _rows(seen, folder, chunk), strict=True):
            if stamp is None or stamp != _stamp(folder + path):
                changed.append(path)
                if look:
                    last[path] = look
    return changed, last


def _stamp(file: str) -> str | None:
    """Size, times and inode of a file; None where they would not tell that it has changed."""
    try:
        status = os.stat(file)  # noqa: PTH116 a Path takes longer to make than to ask
    except OSError:
        return None
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _TOO_FRESH:
        return None
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _look_all(max_pixels: int, files: list[tuple]) -> list[tuple]:
    return [_look_at(max_pixels, *file) for file in files]


def _look_at(max_pixels: int, file: str, last: str | None) -> tuple[str, str | None, str]:
    stamp = _stamp(file)  # before it is read: a change while it is read shows the next time
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        detail = f"the file cannot be read: {error.strerror}"
        return file, None, json.dumps(Look(reason="unreadable", detail=detail))
    if last is None or Look(*json.loads(last)).photo != decoding.identity(data):
        last = json.dumps(look(data, max_pixels))
    return file, stamp, last
