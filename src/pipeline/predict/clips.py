"""Answers short videos of camera traps: frames of a clip are a burst, and its answer is theirs."""

import io
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import cv2
import numpy as np

from pipeline.inference import decoding
from pipeline.inference.open_set import NO_ANIMAL, SPECIES, UNKNOWN_ANIMAL
from pipeline.inference.query import Query, answer_rows, event_probabilities
from pipeline.inference.recogniser import Recogniser

FRAMES = 16  # of one clip; of a longer one every second, fourth ... frame, at least half as many
# What may be decoded of one clip, in pixels: two minutes of 1920 x 1080 at 30 frames a second. What
# comes after it is not seen, so that no file keeps a process for long.
MAX_DECODED = 120 * 30 * 1920 * 1080
# How files of the formats begin. Others that FFmpeg reads, such as playlists, name further files.
_CONTAINERS = re.compile(
    rb"(?s).{4}(?:ftyp|moov|mdat|wide|free|skip)|RIFF.{4}AVI |\x1aE\xdf\xa3|"
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11|\x00\x00\x01[\xb3\xba]|.{4}\x47.{191}\x47"
)
_MP4_BEGINS = datetime(1904, 1, 1)
# What is wrong with a clip stands in its row.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def frames(data: bytes, max_pixels: int = decoding.MAX_PIXELS) -> tuple[list[bytes], list[float]]:
    """Decodes frames of a clip, evenly spaced.

    Args:
        data: The bytes of the file.
        max_pixels: A clip whose frames claim more is refused.

    Returns:
        Up to `FRAMES` frames as files (PNG), and the time of each from the beginning (s). A clip
        that breaks off has those before it does.

    Raises:
        PhotoError: There is no frame that can be decoded.
    """
    if not data:
        raise decoding.PhotoError("empty", "the file holds no bytes")
    if not _CONTAINERS.match(data):
        raise decoding.PhotoError("not_a_video", "the bytes are no MP4, MOV, AVI, MKV, MPEG or WMV")
    stream = io.BytesIO(data)  # the capture keeps no reference to it, and reads it until released
    # The processes that answer share the cores, so a decoder has one thread.
    clip = cv2.VideoCapture(stream, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        width, height = (
            int(clip.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > max_pixels:
            claim = f"its frames claim {width} x {height}, over {max_pixels:,} pixels"
            raise decoding.PhotoError("too_many_pixels", claim)
        sampled = _sampled(clip, MAX_DECODED // max(width * height, 1))
    finally:
        clip.release()
    if not sampled:
        raise decoding.PhotoError("unreadable", "no frame of the video can be decoded")
    pictures, seconds = zip(*sampled, strict=True)
    return list(pictures), list(seconds)


def _sampled(clip: cv2.VideoCapture, most: int) -> list[tuple[bytes, float]]:
    """Returns every n-th of the first `most` frames, with n = 1, 2, 4 ... so that few remain.

    How many frames a file has is known only at its end: what it claims may be wrong.
    """
    sampled: list[tuple[bytes, float]] = []
    every = 1
    for number in range(most):
        if not clip.grab():
            break
        if number % every:
            continue
        if len(sampled) == FRAMES:
            sampled, every = sampled[::2], 2 * every
            if number % every:
                continue
        is_right, frame = clip.retrieve()
        if is_right:
            png = cv2.imencode(".png", frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            sampled.append((png.tobytes(), clip.get(cv2.CAP_PROP_POS_MSEC) / 1000))
    return sampled


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


def answer(recogniser: Recogniser, read: Callable[[], bytes], top_k: int) -> dict[str, Any]:
    """Answers a clip, as its frames are answered in a request with the param `burst`.

    Args:
        recogniser: Answers.
        read: Returns the bytes of the file, or raises `decoding.PhotoError`.
        top_k: How long `top` is.

    Returns:
        The fields of a photo's answer that a clip has, and `frames`: the second, the species and
        its probability of each frame.

    Raises:
        PhotoError: The file cannot be read, or no frame of it can.
    """
    data = read()
    pictures, seconds = frames(data, recogniser.max_pixels)
    labels = recogniser.labels
    query = Query.of({"burst": True, "top_k": len(labels)})
    rows = answer_rows(recogniser, pictures, query, version="", light=True)
    event = event_probabilities(recogniser, rows)
    calibration = recogniser.pooling.calibration
    order = np.argsort(-event, kind="stable")
    held = calibration.sets(event)
    likely = [{"species": labels[i], "probability": float(event[i])} for i in order]
    kind, reason = _kind(rows, event.max(), calibration.unknown_below)
    return {
        "photo": decoding.identity(data),
        "taken_at": taken_at(data),
        **likely[0],
        "top": likely[:top_k],
        "unknown": kind != SPECIES,
        "kind": kind,
        "reason": reason,
        "prediction_set": [labels[i] for i in order if held[i]],
        **(recogniser.taxonomy.described(event) if recogniser.taxonomy else {}),
        **{
            name: float(np.mean([row[name] for row in rows]))
            for name in ("brightness", "sharpness")
        },
        "frames": [
            {"second": second, **{name: row[name] for name in ("species", "probability")}}
            for second, row in zip(seconds, rows, strict=True)
        ],
    }


def _kind(rows: list[dict[str, Any]], probability: float, limit: float) -> tuple[str, str]:
    """Returns kind and reason: nothing where most frames show no animal, else by all together."""
    empty = sum(row["kind"] == NO_ANIMAL for row in rows)
    if 2 * empty > len(rows):
        return NO_ANIMAL, f"{empty} of {len(rows)} frames show no animal"
    word, kind = ("below", UNKNOWN_ANIMAL) if probability < limit else ("at least", SPECIES)
    together = f"the probability of {len(rows)} frames together, {probability:.2f}"
    return kind, f"{together}, is {word} {limit:.2f}"
