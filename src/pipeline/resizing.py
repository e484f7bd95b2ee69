"""Every photo of a manifest as a square of pixels."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parallel, photos
from pipeline.errors import UserError
from pipeline.progress import track

_PHOTOS_A_JOB = 64


def squares(
    root: Path, manifest: pd.DataFrame, size: int, fit: photos.Fit, max_pixels: int, jobs: int
) -> Iterator[np.ndarray]:
    """Decodes and resizes the photos of a manifest, in its order.

    Args:
        root: The folder that the manifest's paths start from.
        manifest: What ingest wrote.
        size: Sides of the pictures (px).
        fit: What to do with photos that are not square, as in `photos.square`.
        max_pixels: As in `photos.square`.
        jobs: Processes to use; they change no byte.

    Yields:
        uint8 (n, size, size, 3).

    Raises:
        UserError: A photo is gone, or no longer the one that ingest saw.
    """
    pairs = list(zip(manifest["path"], manifest["photo"], strict=True))
    work = partial(_batch, root, size, fit, max_pixels)
    batches = parallel.chunks(pairs, _PHOTOS_A_JOB)
    done = parallel.each(work, batches, jobs)
    yield from track(done, len(pairs), "resize", count=len)


def _batch(
    root: Path, size: int, fit: photos.Fit, max_pixels: int, pairs: list[tuple[str, str]]
) -> np.ndarray:
    return np.stack([_square(root / path, photo, size, fit, max_pixels) for path, photo in pairs])


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
