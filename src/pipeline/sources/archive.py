"""Unpacks a zip or tar of a collection without trusting it."""

import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from pipeline.core.errors import UserError
from pipeline.core.progress import track
from pipeline.sources.filenames import ignored

MAX_ENTRIES = 2_000_000
_CHUNK = 1 << 20
_EXPANSION = 100  # photos hardly compress: an archive that holds more times its size is a bomb ...
_MODEST = 1 << 30  # ... unless it is no larger than this (bytes)
_DIRECTORY_ENTRY = 128  # bytes of a zip's directory for an entry, on average
_MAX_DESCRIPTION = 1 << 20  # bytes
_DESCRIPTIONS = (  # entries of a tar that hold names and more for the next one, or for all
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)

# Name, whether it is a plain file, its size as the archive claims, and how to open it.
Entry = tuple[str, bool, int, Callable[[], BinaryIO]]


def is_archive(path: Path) -> bool:
    """Returns whether a file is a zip or a tar, whatever its name says."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(path: Path, into: Path, max_bytes: int | None = None) -> None:
    """Unpacks a zip or a tar (plain, gz, bz2, xz) into an empty folder.

    Nothing is written outside `into`: an archive with an absolute path, a path through `..`, a
    link or a device in it is refused, as is one that holds more than it may.

    Args:
        path: The archive.
        into: Where its files go.
        max_bytes: Largest sum of sizes, counted while unpacking and not believed. Defaults to
            nine tenths of the free disk, or 100 times the archive if that is less.

    Raises:
        UserError: The archive is broken, hostile or too large; names the entry.
    """
    written = 0
    if max_bytes is None:
        plausible = max(_EXPANSION * path.stat().st_size, _MODEST)
        max_bytes = min(shutil.disk_usage(into).free * 9 // 10, plausible)
    try:
        with _open(path) as opened:
            entries = _entries(path, opened, max_bytes)
            for name, is_file, _, open_entry in track(entries, len(entries), "unpack", "files"):
                target = into / _safe(path, name, is_file)
                target.parent.mkdir(parents=True, exist_ok=True)
                with open_entry() as source, target.open("xb") as file:
                    while chunk := source.read(_CHUNK):
                        written += len(chunk)
                        if written > max_bytes:
                            raise UserError(f"{path} holds over {max_bytes:,} bytes; refused")
                        file.write(chunk)
    except UserError:
        raise
    except FileExistsError as error:
        raise UserError(f"{path} holds {error.filename} twice; refused") from None
    except Exception as error:  # zipfile, tarfile, zlib, lzma each raise their own
        raise UserError(f"{path} cannot be unpacked: {error}") from None


def _entries(path: Path, opened: zipfile.ZipFile | tarfile.TarFile, max_bytes: int) -> list[Entry]:
    """Lists the entries of an archive, but hidden and system files.

    Raises:
        UserError: There are too many, or they claim to hold over `max_bytes`.
    """
    listed = _zipped(opened) if isinstance(opened, zipfile.ZipFile) else _tarred(opened)
    entries, claimed = [], 0
    for count, entry in enumerate(listed):
        if count >= MAX_ENTRIES:
            raise UserError(f"{path} holds over {MAX_ENTRIES:,} entries; refused")
        claimed += entry[2]
        if claimed > max_bytes:
            raise UserError(f"{path} claims to hold over {max_bytes:,} bytes; refused")
        if not any(map(ignored, _path(entry[0]).parts)):
            entries.append(entry)
    return entries


@contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    if zipfile.is_zipfile(path):
        with _Bounded(io.FileIO(path)) as file, zipfile.ZipFile(file) as opened:
            yield opened
    else:
        with tarfile.open(path, tarinfo=_Described) as opened:
            yield opened


class _Bounded(io.BufferedReader):
    """A zip, whose directory is read at once: never more of it than is plausible."""

    def read(self, size: int = -1) -> bytes:
        if size > MAX_ENTRIES * _DIRECTORY_ENTRY:
            raise ValueError(f"its directory has {size:,} bytes, over {MAX_ENTRIES:,} entries")
        return super().read(size)


class _Described(tarfile.TarInfo):
    """An entry of a tar, whose description is read at once: never more than is plausible."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "_Described":
        entry = super().frombuf(buf, encoding, errors)
        if entry.type in _DESCRIPTIONS and entry.size > _MAX_DESCRIPTION:
            raise ValueError(f"it takes {entry.size:,} bytes to describe an entry")
        return entry


def _zipped(opened: zipfile.ZipFile) -> Iterator[Entry]:
    for info in opened.infolist():
        kind = info.external_attr >> 28  # Unix file type: 8 a file, 0 not given
        if not info.filename.replace("\\", "/").endswith("/"):  # a folder, Windows' way too
            yield info.filename, kind in (0, 8), info.file_size, lambda i=info: opened.open(i)


def _tarred(opened: tarfile.TarFile) -> Iterator[Entry]:
    for info in opened:
        if not info.isdir():
            yield info.name, info.isreg(), info.size, lambda i=info: opened.extractfile(i)


def _path(name: str) -> PurePosixPath:
    return PurePosixPath(name.replace("\\", "/"))


def _safe(archive: Path, name: str, is_file: bool) -> PurePosixPath:
    inner = _path(name)
    if not is_file:
        raise UserError(f"{archive} holds {name!r}, which is a link or a device; refused")
    drive = PureWindowsPath(name).drive
    if inner.is_absolute() or drive or ".." in inner.parts or "\0" in name or not inner.parts:
        raise UserError(f"{archive} holds {name!r}, which points out of its folder; refused")
    return inner
