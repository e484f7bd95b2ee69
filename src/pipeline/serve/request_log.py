"""A line of JSON for each photo that was sent, and the photos themselves where that is wanted.

`animal drift` reads the lines.
"""

import json
import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.core import atomic
from pipeline.inference import decoding
from pipeline.inference.recogniser import bytes_of

MEASURES = ("brightness", "sharpness")  # of a picture, by `decoding.light`
_ANSWER = ("version", "species", "probability", "unknown", "kind")
_PHOTO = ("photo", "width", "height", *MEASURES)


class RequestLog:
    """Writes what was answered, and keeps the photos if a folder is given.

    Args:
        file: To add lines to; photos are not in it. Defaults to None: no log.
        photos: Folder for answered photos, named by their sha256; a file that is there is never
            replaced. Defaults to None: they are not stored.
    """

    def __init__(self, file: Path | None = None, photos: Path | None = None):
        self._file, self._photos, self._lock = file, photos, threading.Lock()

    @property
    def active(self) -> bool:
        """True if anything is written."""
        return bool(self._file or self._photos)

    def write(
        self, rows: list[dict[str, Any]], images: list[Any], started: float, status: int = 200
    ) -> None:
        """Adds a line for each row.

        Args:
            rows: The answers, with `brightness` and `sharpness`; empty ones for a refusal.
            images: The photos as they were sent, one a row.
            started: When the request came, by `time.perf_counter`.
            status: Of the response. Defaults to 200.
        """
        lines = []
        for row, image in zip(rows, images, strict=True):
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                **{name: row.get(name) for name in (*_ANSWER, *_PHOTO)},
                "milliseconds": round((time.perf_counter() - started) * 1e3, 1),
                "status": status,
            }
            if row.get("species") is not None:
                line |= self._photo(bytes_of(image))
            lines.append(f"{json.dumps(line)}\n")
        if self._file:
            with self._lock, self._file.open("a", encoding="utf-8") as file:
                file.write("".join(lines))

    def _photo(self, data: bytes) -> dict[str, Any]:
        photo = decoding.identity(data)
        if self._photos:
            self._keep(photo, data)
        width, height = decoding.upright_size(data, sys.maxsize)  # it was answered
        return {"photo": photo, "width": width, "height": height}

    def _keep(self, photo: str, data: bytes) -> None:
        target = self._photos / photo
        if not os.path.lexists(target):
            with atomic.atomic_write(target) as partial:
                partial.write_bytes(data)
