"""Decodes frames of short videos, as camera traps take them: for learning and answering alike."""

import io
import os
import re
from datetime import datetime, timedelta
from typing import NamedTuple

import cv2
import numpy as np

from pipeline.inference import decoding, motion

MAX_BYTES = 1 << 28  # of one file; a 100 MP TIFF of 16 bits is the largest photo that can be meant
FRAMES = 16  # of one clip, at most
# They are chosen from so many, evenly spaced; of a long clip from every second, fourth ... frame,
# at least half as many.
_CANDIDATES = 32
# What may be decoded of one clip, in pixels: two minutes of 1920 x 1080 at 30 frames a second. What
# comes after it is not seen, so that no file keeps a process for long.
MAX_DECODED = 120 * 30 * 1920 * 1080
_QUALITY = 95  # of JPEG: a tenth of the bytes of a PNG, and codecs have lost more before
_DAY = 86_400.0  # s: no clip is longer, whatever it claims
# How files of the formats begin. Others that FFmpeg reads, such as playlists, name further files.
_CONTAINERS = re.compile(
    rb"(?s).{4}(?:ftyp|moov|mdat|wide|free|skip)|RIFF.{4}AVI |\x1aE\xdf\xa3|"
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11|\x00\x00\x01[\xb3\xba]|.{4}\x47.{191}\x47"
)
_MP4_BEGINS = datetime(1904, 1, 1)
# What is wrong with a clip stands in its row.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


class _Frame(NamedTuple):
    """One frame: the bytes of a JPEG, its second, and a small grey copy, uint8 (height, width)."""

    file: bytes
    second: float
    small: np.ndarray


def frames(data: bytes, max_pixels: int = decoding.MAX_PIXELS) -> tuple[list[bytes], list[float]]:
    """Decodes the frames of a clip in which most moves.

    Args:
        data: The bytes of the file.
        max_pixels: A clip whose frames claim more is refused.

    Returns:
        Up to `FRAMES` frames as files (JPEG) in their order, and the time of each from the
        beginning (s). Of a clip that has more, those that differ most from the median of frames
        all over it (`motion.find`), and evenly spaced ones where nothing moves. A clip that breaks
        off has those before it does.

    Raises:
        PhotoError: There is no frame that can be decoded.
    """
    if not data:
        raise decoding.PhotoError("empty", "the file holds no bytes")
    if not _CONTAINERS.match(data):
        raise decoding.PhotoError("not_a_video", "the bytes are no MP4, MOV, AVI, MKV, MPEG or WMV")
    stream = io.BytesIO(data)  # the capture keeps no reference to it, and reads it until released
    # The processes that decode share the cores, so a decoder has one thread.
    clip = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        width, height = (
            int(clip.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > max_pixels:
            claim = f"its frames claim {width} x {height}, over {max_pixels:,} pixels"
            raise decoding.PhotoError("too_many_pixels", claim)
        sampled = _sampled(clip, MAX_DECODED // max(width * height, 1))
    except cv2.error as error:
        raise decoding.PhotoError("unreadable", f"decoding failed: {error.err}") from None
    finally:
        clip.release()
    if not sampled:
        raise decoding.PhotoError("unreadable", "no frame of the video can be decoded")
    chosen = [sampled[number] for number in _most_moving([one.small for one in sampled])]
    return [one.file for one in chosen], [one.second for one in chosen]


def _sampled(clip: cv2.VideoCapture, most: int) -> list[_Frame]:
    """Returns every n-th of the first `most` frames, with n = 1, 2, 4 ... so that few remain.

    How many frames a file has is known only at its end: what it claims may be wrong.
    """
    sampled: list[_Frame] = []
    every = 1
    for number in range(most):
        if not clip.grab():
            break
        if number % every:
            continue
        if len(sampled) == _CANDIDATES:
            sampled, every = sampled[::2], 2 * every
            if number % every:
                continue
        is_right, pixels = clip.retrieve()
        if is_right:
            sampled.append(_frame(pixels, clip.get(cv2.CAP_PROP_POS_MSEC) / 1000))
    return sampled


def _frame(pixels: np.ndarray, second: float) -> _Frame:
    """Returns a frame, given its pixels, uint8 (height, width, 3) in BGR."""
    height, width = pixels.shape[:2]
    share = min(motion.SIDE / max(height, width), 1)
    size = max(round(width * share), 1), max(round(height * share), 1)
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    file = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()
    return _Frame(file, second if 0 <= second < _DAY else 0.0, small)


def _most_moving(frames: list[np.ndarray]) -> list[int]:
    """Returns the numbers of the grey frames to keep, uint8 (height, width), in their order."""
    if len(frames) <= FRAMES:
        return list(range(len(frames)))
    moved = [sum(box.score for box in boxes) for boxes in motion.find(frames)]
    spread = [number * FRAMES % len(frames) < FRAMES for number in range(len(frames))]
    order = sorted(range(len(frames)), key=lambda number: (-moved[number], not spread[number]))
    return sorted(order[:FRAMES])


def taken_at(data: bytes) -> str | None:
    """Reads when a clip was taken (ISO 8601, no zone): MP4's and MOV's `mvhd`, AVI's `IDIT`.

    Returns:
        The time; None where the file does not say it.
    """
    try:
        if (at := data.find(b"mvhd")) >= 0:
            length = 8 if data[at + 4] == 1 else 4
            seconds = int.from_bytes(data[at + 8 : at + 8 + length])
            time = _MP4_BEGINS + timedelta(seconds=seconds)
        else:
            at = data.index(b"IDIT") + 8
            words = data[at : at + 24].decode("ascii").split()  # Sat Nov 28 17:03:07 2026
            time = datetime.strptime(" ".join(words[1:]), "%b %d %H:%M:%S %Y")
    except (ValueError, IndexError, OverflowError):
        return None
    return time.isoformat() if time.year >= 1990 else None
