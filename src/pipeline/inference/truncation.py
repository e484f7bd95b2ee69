"""Completes photos that miss their last bytes, as interrupted copies and full cards leave them."""

import io
import random
import struct
import zlib
from contextlib import suppress

import numpy as np
from PIL import Image

_ROWS = 0.95  # of a photo must be there


def completed(format: str | None, data: bytes) -> bytes | None:
    """Completes a picture file that misses its last bytes; None if too many rows are missing.

    How many are missing does not depend on the size at which the picture is to be decoded.
    """
    with suppress(Exception):  # what is more than cut short
        if format in ("JPEG", "MPO"):
            return _completed_jpeg(data)
        if format == "PNG":
            return _completed_png(data)
    return None


def _completed_jpeg(data: bytes) -> bytes | None:
    """Ends a JPEG, whose missing rows libjpeg then fills with grey.

    Ended in another way, by bytes that stand for any picture, the rows that are there look the same
    and those that are missing do not.
    """
    noise = random.Random(0).randbytes(4096).replace(b"\xff", b"")
    ended = [data + tail + b"\xff\xd9" for tail in (b"", noise)]
    grey, other = (
        np.asarray(_small(Image.open(io.BytesIO(one), formats=("JPEG",)))) for one in ended
    )
    differs = (grey != other).reshape(len(grey), -1).any(axis=1)
    rows = differs.argmax() if differs.any() else len(grey)
    return ended[0] if rows >= _ROWS * len(grey) else None


def _small(image: Image.Image) -> Image.Image:
    image.draft(None, (64, 64))
    return image


def _completed_png(data: bytes) -> bytes | None:
    """Puts grey rows in place of those that a PNG misses; None where it is interlaced too."""
    width, height, bits, colours, *_, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    stride = 1 + (width * bits * channels + 7) // 8
    place, head, packed = 8, data[:8], b""
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        chunk = data[place : place + 12 + length]
        if kind == b"IDAT":
            packed += data[place + 8 : place + 8 + length]
        elif not packed:
            head += chunk
        place += len(chunk)
    rows = zlib.decompressobj().decompress(packed)
    there = len(rows) // stride
    if interlaced or there < _ROWS * height:
        return None
    rows = rows[: there * stride] + (b"\0" + b"\x80" * (stride - 1)) * (height - there)
    end = [_png_chunk(b"IDAT", zlib.compress(rows, 1)), _png_chunk(b"IEND", b"")]
    return head + b"".join(end)


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    length, checksum = len(content), zlib.crc32(kind + content)
    return struct.pack(">I", length) + kind + content + struct.pack(">I", checksum)
