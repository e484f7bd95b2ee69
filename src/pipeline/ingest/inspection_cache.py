"""Inspects the bytes of each file of a collection once, and caches the results."""

import hashlib
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
from pipeline.dataset import decoder_digest, image_statistics, near_duplicates
from pipeline.inference import decoding

_FILES_A_JOB = 64
_ROWS_A_QUERY = 500  # one by one they take several times as long
_SECONDS_BETWEEN_COMMITS = 1.0
# A file that was written so shortly before may be written again without its times telling: file
# systems count in steps of up to two seconds.
_TOO_FRESH = 2e9  # ns


class FileInspection(NamedTuple):
    """The properties of one file that its bytes alone determine, whatever its name and place.

    Every field is a number or a string that JSON can hold, or None.

    Attributes:
        photo: `decoding.identity` of the bytes; None where they cannot be read.
        width: Of the upright photo (px). This and all fields up to `colours` but `photo` and
            `cut_short` are None where `reason` is not.
        height: Of the upright photo (px).
        phash: `near_duplicates.phash` of the picture.
        taken_at: The camera's time (ISO 8601, no zone); None where the file does not say.
        format: The format of the bytes as Pillow names it, such as `JPEG`.
        cut_short: Whether the bytes end before the picture does.
        sharpness: This and the four after it are those of `image_statistics.Measures`.
        reason: Why the bytes give no picture; None where they do.
        detail: The reason as a sentence.
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


def inspect_file(data: bytes, max_pixels: int) -> FileInspection:
    """Decodes the bytes of a file and returns its properties."""
    photo = decoding.identity(data)
    try:
        seen = decoding.inspect(data, max_pixels)
    except decoding.PhotoError as error:
        return FileInspection(photo, reason=error.reason, detail=str(error))
    phash, measures = near_duplicates.phash(seen.picture), image_statistics.measure(seen.picture)
    return FileInspection(
        photo=photo,
        width=seen.width,
        height=seen.height,
        phash=phash,
        taken_at=seen.taken_at,
        format=seen.format,
        cut_short=seen.cut_short,
        **measures._asdict(),
    )


def inspect_files(
    root: Path, paths: list[str], max_pixels: int, jobs: int, cache: Path
) -> Iterator[FileInspection]:
    """Inspects files, but for those that were inspected before and have not changed since.

    A file whose size, times and inode are those of the last time is not even opened; one with the
    bytes of the last time is read but not decoded. Results are committed to the cache every second,
    so a killed run goes on where it was.

    Args:
        root: The folder that the paths start from.
        paths: The files.
        max_pixels: A picture that claims more pixels is refused before it is decoded.
        jobs: Processes to use; they change nothing in the result.
        cache: Folder for the results; safe to delete at any time.

    Yields:
        An inspection for each path, in the order of `paths`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder = f"{root.absolute()}/"
    database = cache / f"{_key(max_pixels)}.sqlite"
    with closing(sqlite3.connect(database)) as seen:
        database.touch()  # the caches' bound goes by the last use
        seen.execute(
            "CREATE TABLE IF NOT EXISTS inspections"
            " (file TEXT PRIMARY KEY, stamp TEXT, fields TEXT)"
        )
        changed, last = _changed(seen, folder, paths)
        batches = (  # made one at a time: a file that waits costs a pointer
            [(folder + path, last.get(path)) for path in chunk]
            for chunk in parallel.chunks(changed, _FILES_A_JOB)
        )
        done = parallel.map_ordered(partial(_inspect_batch, max_pixels), batches, jobs)
        committed = time.monotonic()
        for rows in track(done, len(changed), "inspect", count=len):
            seen.executemany("INSERT OR REPLACE INTO inspections VALUES (?, ?, ?)", rows)
            if time.monotonic() - committed > _SECONDS_BETWEEN_COMMITS:
                seen.commit()
                committed = time.monotonic()
        seen.commit()
        for chunk in parallel.chunks(paths, _ROWS_A_QUERY):
            written = ",".join(fields for _, fields in _rows(seen, folder, chunk))
            yield from starmap(FileInspection, json.loads(f"[{written}]"))


def _key(max_pixels: int) -> str:
    """Hashes what an inspection depends on besides the file: code, libraries and settings."""
    code = decoder_digest.digest((__file__, near_duplicates.__file__, image_statistics.__file__))
    content = [code, decoding.FORMATS, max_pixels]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _rows(
    seen: sqlite3.Connection, folder: str, paths: list[str]
) -> list[tuple[str | None, str | None]]:
    """Returns each path's cached stamp and fields (JSON); None for a path that is new."""
    files = [folder + path for path in paths]
    query = f"SELECT * FROM inspections WHERE file IN ({','.join('?' * len(files))})"
    rows = {file: row for file, *row in seen.execute(query, files)}
    return [rows.get(file, (None, None)) for file in files]


def _changed(
    seen: sqlite3.Connection, folder: str, paths: list[str]
) -> tuple[list[str], dict[str, str]]:
    """Returns the paths of new and changed files, and the cached fields of the changed ones."""
    changed, last = [], {}
    for chunk in parallel.chunks(paths, _ROWS_A_QUERY):
        for path, (stamp, fields) in zip(chunk, _rows(seen, folder, chunk), strict=True):
            if stamp is None or stamp != _stamp(folder + path):
                changed.append(path)
                if fields:
                    last[path] = fields
    return changed, last


def _stamp(file: str) -> str | None:
    """Returns size, times and inode of a file; None where they may not show a later change."""
    try:
        status = os.stat(file)  # noqa: PTH116 a Path takes longer to make than the call
    except OSError:
        return None
    if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _TOO_FRESH:
        return None
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def _inspect_batch(max_pixels: int, files: list[tuple]) -> list[tuple]:
    return [_inspect_changed(max_pixels, *file) for file in files]


def _inspect_changed(max_pixels: int, file: str, last: str | None) -> tuple[str, str | None, str]:
    stamp = _stamp(file)  # before it is read: a change while it is read shows the next time
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        detail = f"the file cannot be read: {error.strerror}"
        return file, None, json.dumps(FileInspection(reason="unreadable", detail=detail))
    if last is None or FileInspection(*json.loads(last)).photo != decoding.identity(data):
        last = json.dumps(inspect_file(data, max_pixels))
    return file, stamp, last
