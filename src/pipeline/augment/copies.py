"""Writes altered copies of the training pictures."""

import hashlib
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pipeline.augment.transforms import Ranges, altered, draw
from pipeline.core import atomic
from pipeline.core.progress import track
from pipeline.dataset import shards
from pipeline.dataset.shards import Shards
from pipeline.dataset.views import COLUMN as VIEW

INDEX = ("photo", "species", VIEW, "copy")


def copies(species: pd.Series, least: int, most: int) -> pd.Series:
    """Decides how many copies each picture gets, so that rare species catch up with common ones.

    Args:
        species: Species of each training picture.
        least: Copies for the most common species.
        most: No picture gets more.

    Returns:
        A number for each picture.
    """
    counts = species.map(species.value_counts())
    balanced = np.rint((1 + least) * counts.max() / counts) - 1
    return balanced.clip(least, most).astype(int)


def expand(index: pd.DataFrame, least: int, most: int) -> pd.DataFrame:
    """Repeats the rows of training pictures, once for each picture (copy 0) and each of its copies.

    Args:
        index: A row a training picture, with a column species.
        least: Copies for the most common species.
        most: No picture gets more.

    Returns:
        The same columns and copy, the number of the copy.
    """
    rows = index.loc[index.index.repeat(copies(index["species"], least, most) + 1)]
    return rows.assign(copy=rows.groupby(level=0).cumcount()).reset_index(drop=True)


def write(
    folder: Path, resized: Path, rows: pd.DataFrame, ranges: Ranges, seed: int, jobs: int
) -> None:
    """Writes the pictures of `rows` as a folder of shards, copy 0 as it is and the others altered.

    Args:
        folder: The folder; it appears when everything is written.
        resized: The shards of the pictures.
        rows: A row a picture and copy, as `expand` returns them: photo, species, copy, shard and
            row of the picture, and its view where photos have several.
        ranges: How far copies may differ.
        seed: Another seed gives other copies.
        jobs: Processes to use; they change no byte.
    """
    size = Shards(resized).size
    pictures = partial(_pictures, resized.absolute(), ranges, seed)
    with atomic.atomic_write(folder, shards.CONTENTS) as unfinished:
        unfinished.mkdir()
        sources = rows[["shard", "row", "photo", "copy"]]
        starts = range(0, len(sources), shards.LENGTH)
        parts = [sources.iloc[start : start + shards.LENGTH] for start in starts]
        index = rows[[name for name in INDEX if name in rows]]
        shards.write_index(unfinished, index, [len(part) for part in parts])
        drawn = (
            (shards.path(unfinished, number), list(part.itertuples(index=False, name=None)))
            for number, part in enumerate(parts)
        )
        done = shards.fill(drawn, size, pictures, jobs)
        for _ in track(done, len(rows), "augment", "pictures", count=int):
            pass


def _pictures(resized: Path, ranges: Ranges, seed: int, items: Sequence[tuple]) -> np.ndarray:
    cv2.setNumThreads(1)  # the other cores are busy with other pictures
    opened = cache(lambda number: np.load(shards.path(resized, number), mmap_mode="r"))
    return np.stack(
        [
            altered(opened(shard)[row], draw(ranges, _rng(seed, photo, copy)))
            if copy
            else opened(shard)[row]
            for shard, row, photo, copy in items
        ]
    )


def _rng(seed: int, photo: str, copy: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{photo}:{copy}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
