"""Downloads files: streams, resumes after a break, checks, and fetches each once.

Everything that a server sends is checked: it may be slow, break off, send more than it should,
or send an error page instead of the file.
"""

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from pipeline.core import atomic, locks
from pipeline.core.errors import UserError
from pipeline.core.progress import track
from pipeline.inference import checksums

T = TypeVar("T")

DOWNLOADS = Path(".cache/downloads")
PASSING = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses of a trouble that may pass
WAITS = (1, 2, 4, 8, 16)  # s between attempts; doubled, as a busy server would have it
LONGEST_WAIT = 120  # s; a server that asks for more is believed no further
_LONGEST_DOWNLOAD = 24 * 3600.0  # s that another process may take for the same file
SILENCE = 30  # s without a byte, then the connection is given up
_CHUNK = 1 << 20
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "hf": "huggingface_hub"}


class Passing(Exception):
    """A trouble that may be over in a moment.

    Args:
        reason: What happened.
        wait: Seconds the server asks to be left alone; None where it does not say.
    """

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


def fetch(url: str, size: int, sha256: str | None = None) -> Path:
    """Brings a file under `.cache/downloads`, unless it is there.

    The bytes of an earlier attempt, in this run or in one that was killed, are not fetched again.
    Where no checksum is known, the one of the first fetch is written down beside the file, printed,
    and holds from then on.

    Args:
        url: Address; http(s), or whatever else fsspec reads.
        size: Of the complete file (bytes).
        sha256: Of the file's bytes, as 64 hexadecimal digits.

    Returns:
        The file, which has this size and checksum.

    Raises:
        UserError: The file cannot be had, or is another one; names address and reason.
    """
    name = sha256 or "unchecked-" + hashlib.sha256(url.encode()).hexdigest()
    # Two processes would append to one file; the second one finds it when the first is done.
    with locks.exclusive(DOWNLOADS.with_name("locks") / f"{name}.lock", _LONGEST_DOWNLOAD):
        return _fetch(url, size, sha256, DOWNLOADS / name)


def _fetch(url: str, size: int, sha256: str | None, cached: Path) -> Path:
    first_seen = cached.with_name(f"{cached.name}.sha256")
    if sha256 is None and first_seen.exists():
        sha256 = first_seen.read_text().strip()
    if cached.exists():
        if cached.stat().st_size == size and sha256 == checksums.sha256(cached):
            cached.touch()  # the caches' bound goes by the last use
            return cached
        print(f"{cached} is not what was fetched any more; fetching it again", file=sys.stderr)
        cached.unlink()
    arriving = cached.with_name(f"{cached.name}.partial")
    arriving.parent.mkdir(parents=True, exist_ok=True)
    resumed = arriving.exists()
    digest = _download(url, size, arriving)
    if sha256 and digest != sha256 and resumed:  # what was there already may be to blame
        arriving.unlink()
        digest = _download(url, size, arriving)
    if sha256 and digest != sha256:
        arriving.unlink()
        raise UserError(
            f"{url} has another content than expected: its sha256 is {digest}, not {sha256}. "
            "It was changed, or changed on its way; nothing of it was used"
        )
    if sha256 is None:
        with atomic.atomic_write(first_seen) as path:
            path.write_text(digest)
        print(
            f"the recipe gives no checksum for {url}, so just its size was checked; what came has "
            f"sha256 {digest}, and will be held to it",
            file=sys.stderr,
        )
    return arriving.rename(cached)


def body(url: str, limit: int) -> bytes:
    """Returns the content at an address, in memory.

    Raises:
        UserError: It cannot be had, or is longer than `limit` bytes; names address and reason.
    """

    def attempt() -> bytes:
        read = bytearray()
        with _opened(url, 0, None) as (_, source):
            for chunk in _chunks(source):
                read += chunk
                if len(read) > limit:
                    raise UserError(f"{url} sends more than {limit:,} bytes")
        return bytes(read)

    return patiently(url, attempt)


def patiently(url: str, attempt: Callable[[], T]) -> T:
    """Tries until it works: again after a passing trouble, with longer and longer waits.

    Raises:
        UserError: It still does not work after the last wait.
    """
    planned = iter(WAITS)
    while True:
        try:
            return attempt()
        except Passing as trouble:
            if (wait := next(planned, None)) is None:
                raise UserError(f"{url} cannot be had: {trouble}. Try again later") from None
            wait = min(max(wait, trouble.wait or 0), LONGEST_WAIT)
            print(f"{url}: {trouble}; trying again in {wait:g} s", file=sys.stderr)
            time.sleep(wait)


def retry_after(header: str | None) -> float | None:
    """Returns the seconds in a `Retry-After` header; None where it is missing or a date."""
    return float(header) if header and header.isascii() and header.isdigit() else None


def _download(url: str, size: int, arriving: Path) -> str:
    """Fetches what is missing of a file, in as many attempts as it takes; gives its sha256."""
    free = shutil.disk_usage(arriving.parent).free
    if size - _length(arriving) > free:
        raise UserError(f"{url} holds {size:,} bytes, and only {free:,} are free for it")
    while _length(arriving) != size:
        patiently(url, partial(_append, url, size, arriving))
    return checksums.sha256(arriving)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _append(url: str, size: int, arriving: Path) -> None:
    """Appends missing bytes, in one attempt. Bytes that arrive before a break stay.

    Raises:
        Passing: It broke off before anything to speak of had come.
        UserError: It will not work.
    """
    before = _length(arriving)
    name = url.split("?")[0].rsplit("/", 1)[-1]
    try:
        with (
            _opened(url, before if before < size else 0, size) as (start, source),
            arriving.open("ab") as file,
        ):
            file.truncate(start)
            file.seek(start)
            for chunk in track(_chunks(source), size - start, f"fetch {name}", "bytes", len):
                if file.tell() + len(chunk) > size:
                    file.truncate(0)
                    raise UserError(f"{url} sends more than the {size:,} bytes it should hold")
                file.write(chunk)
        trouble = Passing("it ended early")
    except Passing as passing:
        trouble = passing
    have = _length(arriving)
    if have < min(size, before + _CHUNK):  # a server that gets on may break off ever so often
        raise Passing(f"{trouble}, {have:,} of {size:,} bytes are here", trouble.wait)


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    return iter(partial(source.read, _CHUNK), b"")


@contextmanager
def _opened(url: str, start: int, size: int | None) -> Iterator[tuple[int, BinaryIO]]:
    """Opens a file at or before `start`; yields where, and the bytes from there on.

    Errors of reading, in the block too, become `Passing` or `UserError`.
    """
    import aiohttp

    try:
        with _stream(url, start, size) as opened:
            yield opened
    except ImportError:
        package = _PACKAGES.get(url.split("://")[0])
        raise UserError(f"{url} needs a package that is not here: pip install {package}") from None
    except FileNotFoundError:
        raise UserError(f"{url} is not there; the address is wrong, or it was moved") from None
    except aiohttp.ClientResponseError as error:
        answer = f"the server answered {error.status}"
        if error.status in PASSING:
            wait = retry_after((error.headers or {}).get("Retry-After"))
            raise Passing(answer, wait) from None
        raise UserError(f"{url}: download failed: {answer}") from None
    except aiohttp.InvalidURL:
        raise UserError(f"{url} is not a valid address") from None
    except TimeoutError:
        raise Passing("it took too long") from None
    except (aiohttp.ClientError, ConnectionError) as error:
        raise Passing(f"the connection broke ({type(error).__name__})") from None
    except (Passing, UserError):
        raise
    except Exception as error:  # s3, gs and hf raise their own errors
        raise UserError(f"{url}: download failed: {error}") from error


@contextmanager
def _stream(url: str, start: int, size: int | None) -> Iterator[tuple[int, BinaryIO]]:
    """Opens a file at or before `start`, with the errors of the protocol's library."""
    import aiohttp
    import fsspec

    if not url.startswith(("http://", "https://")):
        with fsspec.open(url, "rb") as file:
            file.seek(start)
            yield start, file
        return
    # Compressed on the way, an archive would neither have its size nor be resumed.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    total = None if size else 10 * SILENCE  # small files have no reason to trickle
    timeout = aiohttp.ClientTimeout(total=total, sock_connect=SILENCE, sock_read=SILENCE)
    system = fsspec.filesystem("http", client_kwargs={"auto_decompress": False})
    # A block size of 0 streams; a size, of whatever value, saves a HEAD request before.
    with system.open(url, block_size=0, size=1, headers=headers, timeout=timeout) as file:
        yield _where(url, file.r, start, size), file


def _where(url: str, answer, start: int, size: int | None) -> int:
    """Returns where in the file the answer to a request for `start` begins."""
    if answer.status == 206:
        span, _, claimed = answer.headers.get("Content-Range", "").partition("/")
        if not span.startswith(f"bytes {start}-"):
            raise UserError(f"{url} does not resume at byte {start}: the server sends {span!r}")
    else:  # a server that knows no ranges begins at the beginning
        start, claimed = 0, answer.headers.get("Content-Length", "*")
    if size is not None and claimed not in ("*", str(size)):
        kind = answer.headers.get("Content-Type", "")
        raise UserError(f"{url} is {claimed} bytes of {kind!r}, where {size:,} were expected")
    return start
