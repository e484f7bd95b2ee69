"""Every photo of a manifest as a square of pixels."""

import hashlib
import importlib.metadata
import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import outputs, photos, shards
from pipeline.errors import UserError
from pipeline.progress import track

COLUMNS = ["photo", "path", "species", "width", "height", "box"]  # of the manifest
# A photo, its path, what is cut out of it, and the shard and row where the square stands already.
Wanted = tuple[str, str, str | None, tuple[Path, int] | None]


def pictures(manifest: pd.DataFrame, margin: float | None) -> pd.DataFrame:
    """What becomes a square: each photo, or each of its subjects.

    A subject is cut out as a square around its box, widened by the margin and moved to lie inside
    the photo, so that `photos.square` leaves nothing of it out; where the photo is too narrow for
    one, all of its breadth is taken.

    Args:
        manifest: What ingest wrote, at least its `COLUMNS`.
        margin: Share of a box's longer side to keep on each side of it; None for whole photos.

    Returns:
        A row a picture in the order of the paths, for new photos mostly stand together there:
        photo, path, species, width, height (px) and box, what to cut out as a JSON list of
        [x, y, w, h] in shares of the sides; null for a photo as it is.
    """
    rows = manifest[COLUMNS].sort_values("path", ignore_index=True)
    known = rows["box"].notna() & (margin is not None)
    rows = rows.assign(box=rows["box"].where(known).map(json.loads, na_action="ignore"))
    rows = rows.explode("box", ignore_index=True)
    cut = rows["box"].notna()
    sides = rows.loc[cut, ["width", "height"]].to_numpy(dtype=np.float64)
    boxes = np.array(rows.loc[cut, "box"].tolist(), dtype=np.float64).reshape(-1, 4)
    side = (boxes[:, 2:] * sides).max(axis=1, keepdims=True) * (1 + 2 * (margin or 0))
    size = np.minimum(side / sides, 1)
    start = (boxes[:, :2] + boxes[:, 2:] / 2 - size / 2).clip(0, 1 - size)
    written = [json.dumps(row) for row in np.concatenate([start, size], axis=1).round(6).tolist()]
    rows.loc[cut, ["width", "height"]] = np.rint(size * sides).clip(1).astype(int)
    return rows.assign(box=pd.Series(written, rows.index[cut], dtype="str").reindex(rows.index))


def write(
    folder: Path,
    root: Path,
    wanted: pd.DataFrame,
    size: int,
    fit: photos.Fit,
    max_pixels: int,
    jobs: int,
    cache: Path,
) -> None:
    """Writes the squares of pictures as a folder of shards, in their order.

    Shards are made in `cache`, named after the photos in them, and linked into `folder`. So a
    killed run goes on with the shard where it was, and squares that the last run decoded are
    copied, for what stands in the cache stays when DVC removes `folder`. The cache holds no shard
    that `folder` does not, and where the file system knows hard links it takes no room.

    A shard ends where a photo's identity says so, whatever stands before it. So photos that come
    or go change the shards in which they stand and none after them (content-defined chunking,
    Muthitacharoen et al. 2001).

    Args:
        folder: The folder; it appears when everything is written.
        root: The folder that paths start from.
        wanted: What `pictures` gave.
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
    identities = _identities(wanted)
    starts, files = _parts(store, identities)
    lengths = np.diff(starts, append=len(identities))
    missing = [
        (file, slice(start, start + length))
        for file, start, length in zip(files, starts, lengths, strict=True)
        if not file.exists()
    ]
    former = _Former(store)
    todo = ((file, former.wanted(wanted[rows], identities[rows])) for file, rows in missing)
    draw = partial(_squares, root.absolute(), size, fit, max_pixels)
    total = sum(rows.stop - rows.start for _, rows in missing)
    for _ in track(shards.fill(todo, size, draw, jobs), total, "resize", count=int):
        pass
    with outputs.whole(folder, shards.CONTENTS) as unfinished:
        unfinished.mkdir()
        index = wanted[["photo", "species", "width", "height", "box"]]
        shards.write_index(unfinished, index, lengths)
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


def _identities(wanted: pd.DataFrame) -> np.ndarray:
    """Names the squares: by the photo, and by what is cut out of it."""
    names = [
        photo if pd.isna(box) else hashlib.sha256(f"{photo} {box}".encode()).hexdigest()
        for photo, box in zip(wanted["photo"], wanted["box"], strict=True)
    ]
    return np.array(names, dtype="S64")


def _parts(store: Path, identities: np.ndarray) -> tuple[np.ndarray, list[Path]]:
    """Where each shard of some photos starts, and its file: the photos name it."""
    ends = [int(name[:8], 16) % shards.LENGTH == 0 for name in identities[:-1].tolist()]
    starts = np.append(0, np.flatnonzero(ends) + 1)
    parts = np.split(identities, starts[1:])
    return starts, [store / f"{hashlib.sha256(part.tobytes()).hexdigest()}.npy" for part in parts]


class _Former:
    """The squares that the last run left."""

    def __init__(self, store: Path):
        path = store / "photos.npy"
        identities = np.load(path) if path.exists() else np.empty(0, "S64")
        self._starts, self._files = _parts(store, identities)
        self._order = np.argsort(identities)
        self._sorted = identities[self._order]

    def wanted(self, rows: pd.DataFrame, identities: np.ndarray) -> list[Wanted]:
        """What a shard of these pictures is made of."""
        first, after = (np.searchsorted(self._sorted, identities, s) for s in ("left", "right"))
        known: list[tuple[Path, int] | None] = [None] * len(rows)
        for i in np.flatnonzero(first < after).tolist():
            place = self._order[first[i]]
            shard = np.searchsorted(self._starts, place, "right") - 1
            known[i] = (self._files[shard], int(place - self._starts[shard]))
        boxes = rows["box"].astype(object).where(rows["box"].notna(), None)
        return list(zip(rows["photo"], rows["path"], boxes, known, strict=True))


def _squares(
    root: Path, size: int, fit: photos.Fit, max_pixels: int, wanted: list[Wanted]
) -> np.ndarray:
    former = {known[0] for *_, known in wanted if known and known[0].exists()}
    shard = {file: np.load(file, mmap_mode="r") for file in former}
    return np.stack(
        [
            shard[known[0]][known[1]]
            if known and known[0] in shard
            else _square(root / path, photo, box, size, fit, max_pixels)
            for photo, path, box, known in wanted
        ]
    )


def _square(
    path: Path, photo: str, box: str | None, size: int, fit: photos.Fit, max_pixels: int
) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); run `dvc repro` again"
        ) from None
    if photos.identity(data) != photo:
        raise UserError(f"{path} has changed since ingest read it; run `dvc repro` again")
    try:
        if box:
            data = photos.cut(data, json.loads(box), max_pixels)
        return photos.square(data, size, fit, max_pixels)
    except photos.PhotoError as error:
        raise UserError(f"{path} passed ingest and cannot be resized: {error}") from None
