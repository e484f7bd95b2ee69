"""Lists the photos that a command line names, to be predicted."""

import glob
import os
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.core.errors import UserError
from pipeline.inference import decoding
from pipeline.sources import archive
from pipeline.sources.clips import MAX_BYTES
from pipeline.sources.filenames import RAW, RAW_ADVICE, VIDEO, ignored

_ONE_AT_A_TIME = threading.Lock()  # a tar is one file with one position


@dataclass(frozen=True)
class Named:
    """A photo, or a file that may be one.

    Attributes:
        path: How it is called in answers: its path, in an archive with the archive's in front.
        file: The file on disk, the photo's own or the archive's; absolute, for workers elsewhere.
        member: Its name in a zip.
        span: Where in an unpacked tar it begins, and how long it is (bytes).
    """

    path: str
    file: str
    member: str | None = None
    span: tuple[int, int] | None = None

    @property
    def is_clip(self) -> bool:
        """Whether it is named like a video."""
        return Path(self.path).suffix.lower() in VIDEO

    def stamp(self) -> str | None:
        """Returns size and time of change (ns) of the file on disk; None where it is gone."""
        try:
            status = os.stat(self.file)  # noqa: PTH116 (a Path costs as much as the call)
        except OSError:
            return None
        return f"{status.st_size} {status.st_mtime_ns}"

    def read(self) -> bytes:
        """Reads the bytes of the file.

        Raises:
            decoding.PhotoError: It cannot be read, is over `MAX_BYTES`, or has a raw file's name.
        """
        suffix = Path(self.path).suffix.lower()
        if suffix in RAW:
            raise decoding.PhotoError("raw", f"{suffix} is a camera's raw file: {RAW_ADVICE}")
        try:
            if self.span is not None:
                start, length = self.span
                opened = _opened(self.file).fileobj
                with _ONE_AT_A_TIME:
                    opened.seek(start)
                    data = opened.read(min(length, MAX_BYTES + 1))
            else:
                zipped = self.member is not None
                with (
                    _opened(self.file).open(self.member) if zipped else Path(self.file).open("rb")
                ) as opened:
                    data = opened.read(MAX_BYTES + 1)
        except Exception as error:  # zipfile, tarfile, zlib and lzma each raise their own
            raise decoding.PhotoError("unreadable", f"it cannot be read: {error}") from None
        if len(data) > MAX_BYTES:
            raise decoding.PhotoError("too_large", f"it has over {MAX_BYTES:,} bytes")
        return data


def find(
    paths: Sequence[str], passed_over: Counter[str] | None = None, clips: bool = False
) -> Iterator[Named]:
    """Lists photos, in the order of `paths` and below each in the order of their names.

    In folders, at any depth, and in archives only files named like photos count, and neither
    hidden ones nor linked folders; a file that is named itself is always taken.

    Args:
        paths: Files, folders, archives (zip, tar) and patterns such as `cam*/**/*.jpg`.
        passed_over: Counts the files that are not named like photos, by kind.
        clips: Whether videos count as photos. Defaults to False.

    Raises:
        UserError: There is no such file.
    """
    passed_over = Counter() if passed_over is None else passed_over
    suffixes = _suffixes() | set(VIDEO) if clips else _suffixes()
    for path in paths:
        matches = [path] if Path(path).exists() else sorted(glob.glob(path, recursive=True))  # noqa: PTH207
        if not matches:
            raise UserError(f"there is no {path}")
        for match in matches:
            yield from _below(match, suffixes, passed_over)


def listed(passed_over: Counter[str]) -> str:
    """Returns counts of kinds as text, the most frequent first."""
    return ", ".join(f"{count} {kind}" for kind, count in passed_over.most_common())


def top(paths: Sequence[str]) -> Path:
    """Returns the lowest folder (or archive) that holds all of `paths`.

    Args:
        paths: Files, folders, archives and patterns; of a pattern, the folders before it count.
    """
    return Path(os.path.commonpath([_top(path) for path in paths]))


def relative(path: str, folder: Path) -> str:
    """Returns a path relative to a folder, with slashes.

    Raises:
        UserError: The path does not lie in that folder.
    """
    seen = Path(os.path.relpath(path, folder))
    if ".." in seen.parts:
        raise UserError(f"{path} does not lie in {folder}; name a folder that holds every photo")
    return seen.as_posix()


def require_below(folder: Path, paths: Iterable[str]) -> None:
    """Checks that photos lie in a folder. Raises UserError; names one that does not."""
    for path in paths:
        relative(path, folder)


def _top(path: str) -> Path:
    here = Path(path)
    if not here.exists():
        here = Path(*takewhile(lambda part: not glob.has_magic(part), here.parts))
    is_photo = here.is_file() and not archive.is_archive(here)
    here = Path(os.path.abspath(here))  # noqa: PTH100 (links stay as they are, `..` goes)
    return here.parent if is_photo else here


def _below(path: str, suffixes: set[str], passed_over: Counter[str]) -> Iterator[Named]:
    if Path(path).is_dir():
        yield from _in_folder(path, suffixes, passed_over)
    elif not Path(path).is_file():
        raise UserError(f"{path} is neither a file nor a folder")
    elif archive.is_archive(Path(path)):
        try:
            yield from _inside(path, suffixes, passed_over)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
            raise UserError(f"{path} cannot be unpacked: {error}") from None
    else:
        yield _named(path)


def _in_folder(path: str, suffixes: set[str], passed_over: Counter[str]) -> Iterator[Named]:
    def unreadable(error: OSError) -> None:
        if error.filename == path:
            raise UserError(f"{path} cannot be read: {error.strerror}")
        passed_over["folder that may not be read"] += 1

    for folder, folders, files in os.walk(path, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not ignored(name))
        for name in sorted(files):
            file = Path(folder, name)
            if file.is_file() and _is_wanted(name, suffixes, passed_over):
                yield _named(str(file))


def _inside(path: str, suffixes: set[str], passed_over: Counter[str]) -> Iterator[Named]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as opened:
            names = sorted(info.filename for info in opened.infolist() if not info.is_dir())
        for name in names:
            if _is_wanted(name, suffixes, passed_over):
                yield _named(path, name, member=name)
        return
    with tarfile.open(path) as opened:
        while (info := opened.next()) is not None:  # in its own order, so that it is read forward
            if info.isreg() and _is_wanted(info.name, suffixes, passed_over):
                yield _named(path, info.name, span=(info.offset_data, info.size))
            opened.members = []  # tarfile would keep them all


def _is_wanted(name: str, suffixes: set[str], passed_over: Counter[str]) -> bool:
    """Returns whether a name has one of the endings, and counts the others by kind."""
    if any(map(ignored, name.replace("\\", "/").split("/"))):
        return False
    suffix = Path(name).suffix.lower()
    if suffix in suffixes:
        return True
    if suffix in RAW:
        passed_over[f"raw {suffix}"] += 1
    elif suffix in VIDEO:
        passed_over[f"video {suffix}"] += 1
    else:
        passed_over[suffix or "without an ending"] += 1
    return False


@cache
def _suffixes() -> set[str]:
    known = Image.registered_extensions()
    return {suffix for suffix, form in known.items() if form in decoding.FORMATS}


@lru_cache(maxsize=8)
def _opened(path: str) -> zipfile.ZipFile | tarfile.TarFile:
    """Opens an archive; a worker reads from it again and again."""
    return zipfile.ZipFile(path) if zipfile.is_zipfile(path) else tarfile.open(path)


def _named(file: str, *inner: str, **place: Any) -> Named:
    """Returns a photo; its path is text, whatever bytes its name is made of."""
    path = "/".join((file, *inner)).encode(errors="surrogateescape")
    return Named(path.decode(errors="backslashreplace"), str(Path(file).absolute()), **place)
