"""Every photo of a manifest as a square of pixels."""

import hashlib
import importlib.metadata
import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import outputs, parallel, photos, shards
from pipeline.errors import UserError
from pipeline.progress import track

# A photo, its path, and the shard and row where its square stands already, if it does.
Wanted = tuple[str, str, tuple[Path, int] | None]


def write(
    folder: Path,
    root: Path,
    manifest: pd.DataFrame,
    size: int,
    fit: photos.Fit,
    max_pixels: int,
    jobs: int,
    cache: Path,
) -> None:
    """Writes the squares of a manifest's photos as a folder of shards, in the manifest's order.

    Shards are made in `cache`, named after the photos in them, and linked into `folder`. So a
    killed run goes on with the shard where it was, and squares that the last run decoded are
    copied, for what stands in the cache stays when DVC removes `folder`. The cache holds no shard
    that `folder` does not, and where the file system knows hard links it takes no room.

    Args:
        folder: The folder; it appears when everything is written.
        root: The folder that the manifest's paths start from.
        manifest: What ingest wrote.
        size: Sides of the pictures (px).
        fit: What to do with photos that are not square, as in `photos.square`.
        max_pixels: As in `photos.square`.
        jobs: Processes to use; they change no byte.
        cache: Folder for shards; safe to delete at any time.

    Raises:
        UserError: A photo is gone, or no longer the one that ingest saw.
    """
    store = cache.absolute() / _key(size, fit)
    store.mkdir(parents=True, exist_ok=True)
    identities = manifest["photo"].to_numpy("S64")
    files = _files(store, identities)
    parts = (slice(i, i + shards.LENGTH) for i in range(0, len(manifest), shards.LENGTH))
    missing = [(f, rows) for f, rows in zip(files, parts, strict=True) if not f.exists()]
    former = _Former(store)
    wanted = ((file, former.wanted(manifest[rows])) for file, rows in missing)
    draw = partial(_squares, root.absolute(), size, fit, max_pixels)
    total = sum(len(identities[rows]) for _, rows in missing)
    for _ in track(shards.fill(wanted, size, draw, jobs), total, "resize", count=int):
        pass
    with outputs.whole(folder) as unfinished:
        unfinished.mkdir()
        shards.write_index(unfinished, manifest[["photo", "species"]])
        for number, file in enumerate(files):
            outputs.link(file, shards.path(unfinished, number))
    with outputs.whole(store / "photos.npy") as unfinished, unfinished.open("wb") as opened:
        np.save(opened, identities)
    kept = {store, store / "photos.npy", *files}
    outputs.clear(*{*store.parent.iterdir(), *store.iterdir()} - kept)


def _key(size: int, fit: photos.Fit) -> str:
    """Names what a square depends on besides its photo: code, libraries and settings."""
    code = hashlib.sha256(Path(photos.__file__).read_bytes()).hexdigest()
    versions = [importlib.metadata.version(name) for name in ("pillow", "numpy")]
    return hashlib.sha256(json.dumps([code, *versions, size, fit]).encode()).hexdigest()


def _files(store: Path, identities: np.ndarray) -> list[Path]:
    """Where the shards of some photos stand, in their order: the photos name them."""
    parts = parallel.chunks(identities, shards.LENGTH)
    return [store / f"{hashlib.sha256(part.tobytes()).hexdigest()}.npy" for part in parts]


class _Former:
    """The squares that the last run left."""

    def __init__(self, store: Path):
        path = store / "photos.npy"
        identities = np.load(path) if path.exists() else np.empty(0, "S64")
        self._files = _files(store, identities)
        self._order = np.argsort(identities)
        self._sorted = identities[self._order]

    def wanted(self, rows: pd.DataFrame) -> list[Wanted]:
        """What a shard of these rows of the manifest is made of."""
        identities = rows["photo"].to_numpy("S64")
        first, after = (np.searchsorted(self._sorted, identities, s) for s in ("left", "right"))
        known: list[tuple[Path, int] | None] = [None] * len(rows)
        for i in np.flatnonzero(first < after).tolist():
            shard, row = divmod(int(self._order[first[i]]), shards.LENGTH)
            known[i] = (self._files[shard], row)
        return list(zip(rows["photo"], rows["path"], known, strict=True))


def _squares(
    root: Path, size: int, fit: photos.Fit, max_pixels: int, wanted: list[Wanted]
) -> np.ndarray:
    return np.stack(
        [
            np.load(known[0], mmap_mode="r")[known[1]]
            if known and known[0].exists()
            else _square(root / path, photo, size, fit, max_pixels)
            for photo, path, known in wanted
        ]
    )


def _square(path: Path, photo: str, size: int, fit: photos.Fit, max_pixels: int) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); run `dvc repro` again"
        ) from None
    if photos.identity(data) != photo:
        raise UserError(f"{path} has changed since ingest read it; run `dvc repro` again")
    try:
        return photos.square(data, size, fit, max_pixels)
    except photos.PhotoError as error:
        raise UserError(f"{path} passed ingest and cannot be resized: {error}") from None
