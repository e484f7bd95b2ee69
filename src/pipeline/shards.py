"""The pictures between stages: a few large arrays and an index, read without decoding.

A folder of shards holds `images-00000.npy`, ..., uint8 (n, size, size, 3) with at most `LENGTH`
pictures each, and `index.parquet`: a row a picture with at least photo, species, shard and row.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import outputs

LENGTH = 1024


class Shards:
    """The pictures of a folder of shards.

    Attributes:
        index: The index, in the order of the pictures.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.index = pd.read_parquet(self.folder / "index.parquet")
        self._open: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def size(self) -> int:
        """Sides of the pictures (px)."""
        return self.shard(0).shape[1]

    def shard(self, number: int) -> np.ndarray:
        """One shard, uint8 (n, size, size, 3), on disk until it is read."""
        if number not in self._open:
            self._open[number] = np.load(path(self.folder, number), mmap_mode="r")
        return self._open[number]

    def take(self, positions: Iterable[int]) -> np.ndarray:
        """The pictures at some positions of the index, uint8 (n, size, size, 3)."""
        rows = self.index.iloc[list(positions)]
        pairs = zip(rows["shard"], rows["row"], strict=True)
        return np.stack([self.shard(shard)[row] for shard, row in pairs])


def path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"images-{number:05d}.npy"


def write(folder: Path, index: pd.DataFrame, pictures: Iterable[np.ndarray], size: int) -> None:
    """Writes a new folder of shards, one shard in memory at a time.

    Args:
        folder: The folder; it appears when everything is written.
        index: A row a picture, in the order of the pictures; gains shard and row.
        pictures: Batches, each uint8 (n, size, size, 3); as many pictures as rows altogether.
        size: Sides of the pictures (px).
    """
    index = index.reset_index(drop=True)
    index = index.assign(shard=index.index // LENGTH, row=index.index % LENGTH)
    with outputs.whole(folder) as partial:
        partial.mkdir()
        outputs.write_table(index, partial / "index.parquet")
        shard, done = None, 0
        for batch in pictures:
            while len(batch):
                row = done % LENGTH
                if row == 0:
                    shape = (min(LENGTH, len(index) - done), size, size, 3)
                    name = path(partial, done // LENGTH)
                    shard = np.lib.format.open_memmap(name, "w+", np.uint8, shape)
                now, batch = batch[: LENGTH - row], batch[LENGTH - row :]
                shard[row : row + len(now)] = now
                done += len(now)
        if done != len(index):
            raise ValueError(f"{done} pictures for {len(index)} rows of the index")
