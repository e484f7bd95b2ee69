"""What the frozen part of a network says of each picture, computed once."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline import outputs
from pipeline.litert import Network
from pipeline.progress import track
from pipeline.shards import Shards

T = TypeVar("T")
R = TypeVar("R")
_PART = 256  # pictures: what is lost when a run is killed, and what lies in memory, two at a time
_MONTH = 30 * 24 * 3600  # seconds that features are kept after they were last asked for


def extract(
    model: bytes, shards: Shards, positions: np.ndarray, cache: Path, what: str = "pictures"
) -> tuple[np.ndarray, int]:
    """Runs pictures through a frozen network, or reads what it said the last time.

    The cache goes by content: its keys are made of the network's bytes and the pictures' pixels,
    so it is right for whatever params led to them, and a killed run goes on where it was.

    Args:
        model: The frozen network, as LiteRT.
        shards: The pictures.
        positions: Which of them, as positions in the index.
        cache: Folder for what was computed; safe to delete at any time.
        what: How to call the pictures in the progress line.

    Returns:
        What the network says of each picture, float32 (n, ...), and of how many it had been known.
    """
    network = None
    cache.mkdir(parents=True, exist_ok=True)
    parts = [positions[i : i + _PART] for i in range(0, len(positions), _PART)]
    known = hashlib.sha256(model)

    def read(part: np.ndarray) -> tuple[np.ndarray, Path]:
        pictures = shards.take(part)
        key = known.copy()
        key.update(repr(pictures.shape).encode())
        key.update(pictures)
        return pictures, cache / f"{key.hexdigest()}.npy"

    found, had, done = np.empty(0), 0, 0
    ready = _ahead(read, parts)
    for pictures, path in track(
        ready, len(positions), f"features of {what}", "pictures", count=lambda item: len(item[0])
    ):
        if path.exists():
            had += len(pictures)
            path.touch()
        else:
            network = network or Network(model)
            with outputs.whole(path) as partial, partial.open("wb") as file:
                np.save(file, network(pictures))
        said = np.load(path)
        if not done:  # one array from the start: maps take gigabytes, parts beside it as many
            found = np.empty((len(positions), *said.shape[1:]), said.dtype)
        found[done : done + len(said)] = said
        done += len(said)
    return found, had


def forget(cache: Path) -> None:
    """Removes from `extract`'s cache what nothing has asked for in a month."""
    old = time.time() - _MONTH
    for path in cache.glob("*.npy"):
        with suppress(FileNotFoundError):  # another process removes it too
            if path.stat().st_mtime < old:
                path.unlink()


def _ahead(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of every item, worked out while the caller is busy with the one before."""
    with ThreadPoolExecutor(1) as worker:
        coming: deque[Future[R]] = deque()
        for item in items:
            coming.append(worker.submit(function, item))
            if len(coming) > 1:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
