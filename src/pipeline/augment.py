"""Altered copies of training pictures."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import parallel
from pipeline.progress import track
from pipeline.shards import Shards

_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_PICTURES_A_JOB = 32


@dataclass(frozen=True)
class Ranges:
    """How far a copy may differ from its picture; each value is drawn evenly from its range.

    Attributes:
        rotation: Degrees, either way.
        zoom: 0.2 is from 1/1.2 to 1.2 times, evenly in the logarithm.
        shift: Share of the side, either way, across and down.
        shear: Degrees, either way.
        flip_horizontal: Probability.
        flip_vertical: Probability.
        brightness: As `zoom`, a factor on the light.
        contrast: As `zoom`, a factor on the distance from the mean.
        saturation: As `zoom`, a factor on the distance from grey.
    """

    rotation: float
    zoom: float
    shift: float
    shear: float
    flip_horizontal: float
    flip_vertical: float
    brightness: float
    contrast: float
    saturation: float


def altered(picture: np.ndarray, ranges: Ranges, rng: np.random.Generator) -> np.ndarray:
    """Draws an altered copy of a picture.

    All that moves pixels is one affine map, so that they are resampled once; what it brings in
    from outside is the picture mirrored at its edges. All that changes colours is one 3 x 4
    matrix.

    Args:
        picture: uint8 (size, size, 3).
        ranges: How far the copy may differ.
        rng: Where chance comes from; the same state gives the same copy.

    Returns:
        uint8 (size, size, 3).
    """
    size = len(picture)
    signed = rng.uniform(-1, 1, 8)
    flips = np.where(rng.random(2) < (ranges.flip_horizontal, ranges.flip_vertical), -1, 1)

    turn, lean = np.deg2rad([signed[0] * ranges.rotation, signed[1] * ranges.shear])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shear = np.array([[1, np.tan(lean)], [0, 1]])
    linear = rotation @ shear @ np.diag(flips) / (1 + ranges.zoom) ** signed[2]
    margin = _margin(ranges, size)
    offset = margin + size / 2 + signed[3:5] * ranges.shift * size - linear @ [size / 2, size / 2]
    # Rounded, so that the last bit of one machine's sine decides nothing.
    a, b, c, d, e, f = np.round(np.column_stack([linear, offset]), 6).ravel().tolist()
    mirrored = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    moved = Image.fromarray(mirrored).transform(
        (size, size), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )

    steps = np.array([ranges.brightness, ranges.contrast, ranges.saturation])
    brightness, contrast, saturation = (1 + steps) ** signed[5:8]
    mean = picture.mean(axis=(0, 1)) @ _LUMINANCE
    colour = saturation * np.eye(3) + (1 - saturation) * _LUMINANCE
    matrix = np.column_stack([contrast * colour, np.full(3, (1 - contrast) * mean)]) * brightness
    return np.asarray(moved.convert("RGB", tuple(np.round(matrix, 6).ravel().tolist())))


def _margin(ranges: Ranges, size: int) -> int:
    """How far outside a picture its furthest copy can reach (px)."""
    turn, lean = np.deg2rad([min(ranges.rotation, 45), ranges.shear])
    reach = (np.cos(turn) + np.sin(turn)) * (1 + np.tan(lean)) * (1 + ranges.zoom) / 2
    return int(np.ceil(size * (reach + ranges.shift - 0.5))) + 1


def copies(species: pd.Series, least: int, most: int) -> pd.Series:
    """How many copies each picture gets, so that rare species catch up with common ones.

    Args:
        species: Species of each training picture.
        least: Copies for the most common species.
        most: No picture gets more.

    Returns:
        A number for each picture.
    """
    counts = species.map(species.value_counts())
    wanted = np.rint((1 + least) * counts.max() / counts) - 1
    return wanted.clip(least, most).astype(int)


def expand(index: pd.DataFrame, least: int, most: int) -> pd.DataFrame:
    """The index of training pictures, a row for each picture (copy 0) and each of its copies."""
    wanted = copies(index["species"], least, most)
    rows = index.loc[index.index.repeat(wanted + 1)]
    return rows.assign(copy=rows.groupby(level=0).cumcount()).reset_index(drop=True)


def pictures(
    folder: Path, rows: pd.DataFrame, ranges: Ranges, seed: int, jobs: int
) -> Iterator[np.ndarray]:
    """Yields the pictures of `rows`, copy 0 as it is and the others altered.

    Args:
        folder: The resized shards.
        rows: What `expand` gave.
        ranges: How far copies may differ.
        seed: Another seed gives other copies.
        jobs: Processes to use; they change no byte.

    Yields:
        uint8 (n, size, size, 3).
    """
    wanted = list(rows[["shard", "row", "photo", "copy"]].itertuples(index=False, name=None))
    batches = parallel.chunks(wanted, _PICTURES_A_JOB)
    done = parallel.each(partial(_batch, folder.absolute(), ranges, seed), batches, jobs)
    yield from track(done, len(wanted), "augment", "pictures", count=len)


def _batch(folder: Path, ranges: Ranges, seed: int, wanted: list[tuple]) -> np.ndarray:
    shards = Shards(folder)
    return np.stack(
        [
            altered(shards.shard(shard)[row], ranges, _rng(seed, photo, copy))
            if copy
            else shards.shard(shard)[row]
            for shard, row, photo, copy in wanted
        ]
    )


def _rng(seed: int, photo: str, copy: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}:{photo}:{copy}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def preview(augmented: Shards) -> list[list[tuple[np.ndarray, str]]]:
    """For each species one picture beside its copies, for `sheets.sheet`."""
    index = augmented.index
    firsts = index.groupby("species")["photo"].first()
    rows = [index[index["photo"] == photo] for photo in firsts]
    return [
        [
            (augmented.take([position])[0], f"copy {row.copy}" if row.copy else row.species)
            for position, row in zip(shown.index, shown.itertuples(), strict=True)
        ]
        for shown in rows
    ]
