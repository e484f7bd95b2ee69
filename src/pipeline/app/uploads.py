"""Receives what a browser uploads, never more of it than is allowed."""

import io
import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fastapi import Request

from pipeline.core.errors import UserError
from pipeline.inference.recogniser import MAX_BYTES
from pipeline.predict import inputs
from pipeline.serve.request_body import receive_body
from pipeline.sources import archive

MAX_ARCHIVE = 2 << 30  # bytes, packed and unpacked
MAX_PHOTOS = 5_000  # of one archive
_SECONDS = 60.0  # for a photo to arrive in
SECONDS_OF_ARCHIVE = 600.0
_MAX_NAME = 1_000  # characters
_FORMULA = ("=", "+", "-", "@")  # with what a spreadsheet's formulas begin


async def photo(request: Request) -> bytes:
    """Receives a photo. Raises what `receive_body` raises."""
    file = io.BytesIO()
    await receive_body(request, file, MAX_BYTES, _SECONDS)
    return file.getvalue()


def name(given: str) -> str:
    """Returns a file's name as answers show it: relative, short, and no formula in a spreadsheet.

    Args:
        given: As the browser calls it; nothing is ever read from or written to that path.
    """
    plain = "".join(c if c.isprintable() else "_" for c in given.replace("\\", "/"))
    parts = [part for part in PurePosixPath(plain[-_MAX_NAME:]).parts if part not in ("/", "..")]
    path = "/".join(parts) or "photo"
    return f"./{path}" if path.startswith(_FORMULA) else path


def unpack(packed: Path) -> Iterator[bytes]:
    """Yields the photos of a zip or tar, as `unpack` of static/js/api.js reads them.

    Each is a line of JSON with `name` and `bytes`, after its length (4 bytes, big-endian), and then
    so many bytes. What was unpacked is removed at the end.

    Args:
        packed: The archive.

    Raises:
        UserError: It is none, is hostile, or holds too much.
    """
    if not archive.is_archive(packed):
        raise UserError("this is neither a zip nor a tar")
    with tempfile.TemporaryDirectory() as unpacked:
        try:
            archive.unpack(packed, Path(unpacked), MAX_ARCHIVE)
        except UserError as error:  # it names the file, which has a name of ours
            raise UserError(str(error).replace(str(packed), "the archive")) from None
        photos = list(inputs.find([unpacked]))
        if len(photos) > MAX_PHOTOS:
            raise UserError(f"it holds {len(photos):,} photos; at most {MAX_PHOTOS:,} at once")
        if not photos:
            raise UserError("it holds no photo")
        yield b""  # the first one comes when it is certain that there are photos
        for photo_file in photos:
            data = Path(photo_file.file).read_bytes()
            shown = name(inputs.relative(photo_file.path, Path(unpacked)))
            head = json.dumps({"name": shown, "bytes": len(data)}).encode()
            yield struct.pack(">I", len(head)) + head + data
