"""Writes squares of pixels as shards."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core import atomic
from pipeline.core.errors import UserError
from pipeline.core.progress import track
from pipeline.dataset import decoder_digest, shards
from pipeline.inference import decoding

# A photo, its path, the box to cut out of it, and the shard and row where its square is already.
Source = tuple[str, str, str | None, tuple[Path, int] | None]


@dataclass(frozen=True)
class Squares:
    """Settings by which photos become squares of pixels.

    Attributes:
        root: The folder that paths start from.
        size: Sides of the squares (px).
        fit: What to do with photos that are not square, as in `decoding.square`.
        max_pixels: Photos that claim more are refused, as in `decoding.square`.
    """

    root: Path
    size: int
    fit: decoding.Fit
    max_pixels: int


def write(folder: Path, squares: Squares, pictures: pd.DataFrame, jobs: int, cache: Path) -> None:
    """Writes the squares of pictures as a folder of shards, in their order.

    Shards are made in `cache`, named after the photos in them, and linked into `folder`. So a
    killed run resumes at the shard where it was, and squares that the last run decoded are copied,
    since the cache stays when DVC removes `folder`. The cache holds no shard that `folder` does
    not, and takes no space where the file system has hard links.

    A shard ends where a photo's identity says so, whatever stands before it. So photos that come
    or go change the shards in which they stand and none after them (content-defined chunking,
    Muthitacharoen et al. 2001).

    Args:
        folder: The folder; it appears when everything is written.
        squares: How photos become squares.
        pictures: A row a picture, as `crops.pictures` returns it.
        jobs: Processes to use; they change no byte.
        cache: Folder for shards; safe to delete at any time.

    Raises:
        UserError: A photo is missing, or not the one that ingest read.
    """
    store = cache.absolute() / _key(squares)
    store.mkdir(parents=True, exist_ok=True)
    identities = _identities(pictures)
    starts, files = _parts(store, identities)
    lengths = np.diff(starts, append=len(identities))
    missing = [
        (file, slice(start, start + length))
        for file, start, length in zip(files, starts, lengths, strict=True)
        if not file.exists()
    ]
    former = _Former(store)
    todo = ((file, former.sources(pictures[rows], identities[rows])) for file, rows in missing)
    draw = partial(_draw, replace(squares, root=squares.root.absolute()))
    total = sum(rows.stop - rows.start for _, rows in missing)
    for _ in track(shards.fill(todo, squares.size, draw, jobs), total, "resize", count=int):
        pass
    with atomic.atomic_write(folder, shards.CONTENTS) as unfinished:
        unfinished.mkdir()
        shards.write_index(unfinished, pictures.drop(columns="path"), lengths.tolist())
        for number, file in enumerate(files):
            atomic.link(file, shards.path(unfinished, number))
    with atomic.atomic_write(store / "photos.npy") as unfinished, unfinished.open("wb") as opened:
        np.save(opened, identities)
    current = {store, store / "photos.npy", *files}
    atomic.clear(*{*store.parent.iterdir(), *store.iterdir()} - current)


def _key(squares: Squares) -> str:
    """Returns a digest of what a square depends on besides its photo: code, libraries, settings."""
    content = [decoder_digest.digest(), squares.size, squares.fit]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _identities(pictures: pd.DataFrame) -> np.ndarray:
    """Names each square by its photo and the box cut out of it, bytes (n,)."""
    names = [
        photo if pd.isna(box) else hashlib.sha256(f"{photo} {box}".encode()).hexdigest()
        for photo, box in zip(pictures["photo"], pictures["box"], strict=True)
    ]
    return np.array(names, dtype="S64")


def _parts(store: Path, identities: np.ndarray) -> tuple[np.ndarray, list[Path]]:
    """Returns where each shard starts, and its file, named after the photos in it."""
    ends = [int(name[:8], 16) % shards.LENGTH == 0 for name in identities[:-1].tolist()]
    starts = np.append(0, np.flatnonzero(ends) + 1)
    parts = np.split(identities, starts[1:])
    return starts, [store / f"{hashlib.sha256(part.tobytes()).hexdigest()}.npy" for part in parts]


class _Former:
    """The squares that the last run wrote.

    Args:
        store: The cache's folder of these settings.
    """

    def __init__(self, store: Path):
        path = store / "photos.npy"
        identities = np.load(path) if path.exists() else np.empty(0, "S64")
        self._starts, self._files = _parts(store, identities)
        self._order = np.argsort(identities)
        self._sorted = identities[self._order]

    def sources(self, rows: pd.DataFrame, identities: np.ndarray) -> list[Source]:
        """Returns what each square of a shard is made of."""
        first, after = (np.searchsorted(self._sorted, identities, s) for s in ("left", "right"))
        known: list[tuple[Path, int] | None] = [None] * len(rows)
        for i in np.flatnonzero(first < after).tolist():
            place = self._order[first[i]]
            shard = np.searchsorted(self._starts, place, "right") - 1
            known[i] = (self._files[shard], int(place - self._starts[shard]))
        boxes = rows["box"].astype(object).where(rows["box"].notna(), None)
        return list(zip(rows["photo"], rows["path"], boxes, known, strict=True))


def _draw(squares: Squares, sources: Sequence[Source]) -> np.ndarray:
    """Copies squares of the last run and decodes the others, uint8 (n, size, size, 3)."""
    former = {known[0] for *_, known in sources if known and known[0].exists()}
    shard = {file: np.load(file, mmap_mode="r") for file in former}
    return np.stack(
        [
            shard[known[0]][known[1]]
            if known and known[0] in shard
            else _square(squares.root / path, photo, box, squares)
            for photo, path, box, known in sources
        ]
    )


def _square(path: Path, photo: str, box: str | None, squares: Squares) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); run `dvc repro` again"
        ) from None
    if decoding.identity(data) != photo:
        raise UserError(f"{path} has changed since ingest read it; run `dvc repro` again")
    try:
        if box:
            data = decoding.cut(data, json.loads(box), squares.max_pixels)
        return decoding.square(data, squares.size, squares.fit, squares.max_pixels)
    except decoding.PhotoError as error:
        raise UserError(f"{path} passed ingest and cannot be resized: {error}") from None
