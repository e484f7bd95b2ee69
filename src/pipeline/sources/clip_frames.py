"""Replaces the clips of a collection by frames of them, which are photos from then on."""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core import atomic, parallel
from pipeline.core.progress import track
from pipeline.dataset import events
from pipeline.inference import decoding
from pipeline.sources import reader
from pipeline.sources.filenames import VIDEO


class _Extracted(NamedTuple):
    """What became of one clip: its frames, or a reason (and the reason as a sentence)."""

    names: Sequence[str] = ()  # of the frames' files
    seconds: Sequence[float] = ()  # from the beginning
    taken_at: str | None = None  # as the clip says itself (ISO 8601)
    reason: str | None = None
    detail: str | None = None


def extract(
    files: pd.DataFrame, root: Path, folder: Path, max_pixels: int, jobs: int
) -> pd.DataFrame:
    """Writes frames of each clip of which it is known what it shows, and lists them as photos.

    A clip counts by its frames: each is a file of the collection, to be accepted or quarantined,
    and the clip itself is none any more. One of which no frame can be decoded stays a file, with
    the reason; so does one that has a reason already, which is not opened.

    Args:
        files: The collection's (`reader.Collection.files`).
        root: The folder that their paths start from.
        folder: For the frames, as `<path of the clip>/<number>_<second>s.jpg`. It is made if there
            is a clip.
        max_pixels: A clip whose frames claim more is refused.
        jobs: Processes to use; they change nothing in the result.

    Returns:
        The files, with the column `clip`: the path of the clip that a file is a frame of, or null.
        A frame has all that is known of its clip but the boxes, for nobody knows which frame they
        were drawn on; and the time of the clip and its second together.
    """
    files = files.assign(clip=pd.Series(dtype="str"))
    is_clip = files["reason"].isna() & _are_clips(files)
    if not is_clip.any():
        return files
    of_clips = files[is_clip]
    with atomic.atomic_write(folder) as unfinished:
        unfinished.mkdir()
        work = partial(_extract, root.absolute(), unfinished.absolute(), max_pixels)
        done = parallel.map_ordered(work, of_clips["path"], jobs)
        extracted = list(track(done, len(of_clips), "extract frames", "videos"))
        reader.write_listing(unfinished, folder)
    frames = _frames(of_clips, extracted, Path(os.path.relpath(folder.resolve(), root.resolve())))
    refused = of_clips.assign(
        reason=[one.reason for one in extracted], detail=[one.detail for one in extracted]
    ).dropna(subset="reason")
    every = pd.concat([files[~is_clip], refused, frames]).astype(files.dtypes)
    return every.sort_values("path", ignore_index=True)


def count(files: pd.DataFrame) -> pd.Series:
    """Counts videos, frames that were taken from them, and videos without any; empty if none is."""
    counts = {
        "videos with frames": files["clip"].nunique(),
        "frames taken from them": files["clip"].notna().sum(),
        "videos left out": (_are_clips(files) & files["reason"].notna()).sum(),
    }
    return pd.Series(counts if any(counts.values()) else {}, dtype="int64")


def _are_clips(files: pd.DataFrame) -> pd.Series:
    return files["path"].str.lower().str.endswith(VIDEO)


def _frames(of_clips: pd.DataFrame, extracted: list[_Extracted], folder: Path) -> pd.DataFrame:
    """Returns a row a frame; the folder is seen from the one that paths start from."""
    frames = of_clips.loc[np.repeat(of_clips.index, [len(one.names) for one in extracted])]
    clip = frames["path"]
    names = [name for one in extracted for name in one.names]
    own = [one.taken_at for one in extracted for _ in one.names]
    taken_at = frames["taken_at"].where(frames["taken_at"].notna(), own)
    seconds = [second for one in extracted for second in one.seconds]
    return frames.assign(
        path=[(folder / path / name).as_posix() for path, name in zip(clip, names, strict=True)],
        clip=clip,
        taken_at=[_later(*both) for both in zip(taken_at, seconds, strict=True)],
        boxes=None,
        other_sides=False,
    )


def _later(taken_at: str | None, second: float) -> str | None:
    """Returns the time of a frame; a date alone, or no time, stays as it is."""
    if pd.isna(taken_at) or taken_at.endswith(events.NO_TIME):
        return taken_at
    return (datetime.fromisoformat(taken_at) + timedelta(seconds=int(second))).isoformat()


def _extract(root: Path, into: Path, max_pixels: int, clip: str) -> _Extracted:
    """Writes the frames of one clip; doing it twice writes the same."""
    from pipeline.sources import clips  # OpenCV has no place where there are no videos

    try:
        with (root / clip).open("rb") as file:
            data = file.read(clips.MAX_BYTES + 1)
        if len(data) > clips.MAX_BYTES:
            detail = f"the video has over {clips.MAX_BYTES:,} bytes: cut it into shorter ones"
            return _Extracted(reason="too_large", detail=detail)
        pictures, seconds = clips.frames(data, max_pixels)
    except OSError as error:
        detail = f"the file cannot be read: {error.strerror}"
        return _Extracted(reason="unreadable", detail=detail)
    except decoding.PhotoError as error:
        return _Extracted(reason=error.reason, detail=str(error))
    names = [f"{number:02}_{second:.1f}s.jpg" for number, second in enumerate(seconds)]
    (into / clip).mkdir(parents=True, exist_ok=True)
    for name, picture in zip(names, pictures, strict=True):
        (into / clip / name).write_bytes(picture)
    return _Extracted(names, seconds, clips.taken_at(data))
