"""Reads and writes the pictures between stages: a few large arrays and an index.

A folder of shards holds `images-00000.npy`, ..., uint8 (n, size, size, 3) with some `LENGTH`
pictures each, and `index.parquet`: a row a picture with at least photo, species, shard and row.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from pipeline.core import atomic, parallel

T = TypeVar("T")

CONTENTS = ("images-*.npy", "index.parquet")  # the names in a folder of shards
LENGTH = 256  # 52 MB at 260 px; a change, or a killed run, costs whole shards
_OPEN = 256  # a process may hold 1,024 files on many systems, and a million photos are 4,000 shards
_PICTURES_A_JOB = 16  # few, for at the end some processes wait for the last one


class Shards:
    """The pictures of a folder of shards.

    Attributes:
        index: The index, in the order of the pictures.
        shard: Returns a shard by its number, uint8 (n, size, size, 3), memory-mapped.
        sha256: Returns the hash of a shard's file by its number; each file is read once.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.index = pd.read_parquet(self.folder / "index.parquet")
        self.shard = lru_cache(_OPEN)(self._shard)
        self.sha256 = lru_cache(None)(self._sha256)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size(self) -> int:
        """Sides of the pictures (px)."""
        return self.shard(0).shape[1]

    def _shard(self, number: int) -> np.ndarray:
        return np.load(path(self.folder, number), mmap_mode="r")

    def _sha256(self, number: int) -> bytes:
        with path(self.folder, number).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def take(self, positions: Iterable[int]) -> np.ndarray:
        """Reads the pictures at some positions of the index, uint8 (n, size, size, 3)."""
        rows = self.index.iloc[list(positions)]
        pairs = zip(rows["shard"], rows["row"], strict=True)
        return np.stack([self.shard(shard)[row] for shard, row in pairs])

    def batches(self, positions: Sequence[int], length: int = LENGTH) -> Iterator[np.ndarray]:
        """Yields the pictures at some positions a batch at a time, so that memory stays flat.

        Args:
            positions: Positions in the index.
            length: Pictures in a batch; the last one may be shorter. Defaults to 256.

        Yields:
            uint8 (n, size, size, 3).
        """
        for start in range(0, len(positions), length):
            yield self.take(positions[start : start + length])


def path(folder: Path, number: int) -> Path:
    """Returns the path of a shard."""
    return folder / f"images-{number:05d}.npy"


def write_index(folder: Path, index: pd.DataFrame, lengths: Sequence[int]) -> None:
    """Writes the index of a folder of shards, with columns shard and row added.

    Args:
        folder: The folder.
        index: A row a picture.
        lengths: Pictures in each shard.
    """
    shard = np.repeat(np.arange(len(lengths)), lengths)
    row = np.arange(len(index)) - (np.cumsum(lengths) - lengths)[shard]
    atomic.write_table(index.assign(shard=shard, row=row), folder / "index.parquet")


def fill(
    wanted: Iterable[tuple[Path, Sequence[T]]],
    size: int,
    draw: Callable[[Sequence[T]], np.ndarray],
    jobs: int,
) -> Iterator[int]:
    """Writes shards, each of which appears when all its pictures are in it.

    The processes that draw pictures also write them: to send them to one that writes would cost
    as much as decoding small photos does. They write to the file and map none of it, so that
    machines that share a file system can share a shard.

    Args:
        wanted: The path of each shard, and what each of its pictures is made of.
        size: Sides of the pictures (px).
        draw: Returns pictures, uint8 (n, size, size, 3), of n items; it must be picklable.
        jobs: Processes to use; they change no byte.

    Yields:
        How many more pictures are written.
    """
    for unfinished, file, pictures in parallel.map_ordered(
        partial(_draw, draw), _pieces(wanted, size), jobs
    ):
        if file:
            unfinished.replace(file)
        yield pictures


def _pieces(wanted: Iterable[tuple[Path, Sequence[T]]], size: int) -> Iterator[tuple]:
    """Yields pieces of work: unfinished shard, offset in its file, items, and its file at the end.

    A shard is created, as a file of zeros, with its first piece.
    """
    for file, items in wanted:
        shape = (len(items), size, size, 3)
        unfinished = atomic.partial_path(file.absolute())
        start = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape).offset
        for first in range(0, len(items), _PICTURES_A_JOB):
            end = first + _PICTURES_A_JOB
            at = start + first * size * size * 3
            yield unfinished, at, items[first:end], file if end >= len(items) else None


def _draw(draw: Callable[[Sequence[T]], np.ndarray], piece: tuple) -> tuple[Path, Path | None, int]:
    unfinished, start, items, file = piece
    pictures = draw(items)
    with unfinished.open("r+b") as opened:
        opened.seek(start)
        opened.write(pictures)
    return unfinished, file, len(pictures)
