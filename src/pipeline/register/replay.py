"""Replays test photos through a registered version, and times its network, before it serves."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from pipeline.core import parallel, tracking
from pipeline.core.errors import UserError
from pipeline.dataset import sampling
from pipeline.dataset.views import SUBJECT
from pipeline.inference import decoding
from pipeline.inference.litert import Network
from pipeline.inference.query import WHOLE_BOX
from pipeline.register import versions

# Answers photos, given where the animal is in each: four numbers a photo, or none at all.
Predict = Callable[[list[bytes], list[float]], pd.DataFrame]
REPLAYED = 100  # test photos at least
_ROWS = 16  # photos predicted at once; they may have 10 MB each
_ROUNDS, _REPEATS, _SECONDS = 3, 7, 10.0  # of timing one picture


class PhotoUnreadable(UserError):
    """A photo that was tested is gone or may not be read: that says nothing about the version."""


def version(registered: versions.Version) -> Predict:
    """Loads a version's own code and network into this process.

    Returns:
        A function from the bytes of photos, and boxes as `query.Query` has them, to a frame whose
        first columns are species and probability.

    Raises:
        UserError: Its files are not the ones that were registered.
    """
    folder = versions.folder(registered)
    with _other_code():
        model = tracking.mlflow().pyfunc.load_model(folder.as_posix())

    def predict(images: list[bytes], boxes: list[float]) -> pd.DataFrame:
        query = {"params": {"boxes": boxes}} if boxes else {}
        return model.predict(pd.DataFrame({"image": images}), **query)

    return predict


@contextmanager
def _other_code() -> Iterator[None]:
    """Lets the block import another `pipeline` than this one.

    A version carries parts of its own, which need not fit those of today.
    """

    def take_out() -> dict[str, ModuleType]:
        ours = [name for name in sys.modules if name.split(".")[0] == "pipeline"]
        return {name: sys.modules.pop(name) for name in ours}

    ours = take_out()
    try:
        yield
    finally:
        take_out()
        sys.modules.update(ours)


def answers(predict: Predict, predictions: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Predicts test photos from their files, or what was cut out of them.

    Args:
        predict: From bytes to answers, as `version` returns it.
        predictions: With columns path and box, as `packaging.read_table` returns it, and subject
            where photos were seen by several views.
        root: The folder that the paths start from.

    Returns:
        species and probability, with the index of `predictions`.

    Raises:
        PhotoUnreadable: A photo is gone, may not be read or is no photo any more.
    """
    frames = []
    subjects = predictions.get(SUBJECT, pd.Series("", predictions.index))
    rows = list(zip(predictions["path"], predictions["box"], subjects, strict=True))
    for chunk in parallel.chunks(rows, _ROWS):
        images = [image(root / path, box) for path, box, _ in chunk]
        boxes: list[float] = []
        for *_, subject in chunk if SUBJECT in predictions else []:
            boxes += json.loads(subject) if subject else WHOLE_BOX
        answered = predict(images, boxes)
        frames.append(answered.iloc[:, :2].set_axis(["species", "probability"], axis=1))
    return pd.concat(frames, ignore_index=True).set_index(predictions.index)


def sample(predictions: pd.DataFrame, least: int) -> pd.DataFrame:
    """Draws test photos to replay, of every species in turn.

    Args:
        predictions: With a column actual.
        least: How many at least; there are never fewer than `REPLAYED`, where there are as many.

    Returns:
        Rows of `predictions`, in their order.
    """
    named = predictions.assign(species=predictions["actual"])
    return predictions.loc[sampling.sample(named, max(REPLAYED, least)).index]


def species(
    predict: Predict, recorded: pd.DataFrame, photos: pd.DataFrame, root: Path, least: int
) -> pd.Series:
    """Returns the species that a version names on photos, from its own test where that had them.

    The rest, and a sample of those, are predicted from their files. If one of the sample gets
    another species than in the test, all are.

    Args:
        predict: From bytes to answers, as `version` returns it.
        recorded: Of its test: photo, box and predicted.
        photos: With columns photo, path, box and actual.
        root: The folder that the paths start from.
        least: The size of the sample, as in `sample`.
    """
    in_test = photos[["photo", "box"]].merge(recorded, "left", ["photo", "box"])["predicted"]
    in_test = in_test.set_axis(photos.index)
    checked = sample(photos[in_test.notna()], least).index
    again = photos.index.isin(checked) | in_test.isna()
    now = answers(predict, photos[again], root)["species"]
    if (now[checked] != in_test[checked]).any():
        return answers(predict, photos, root)["species"]
    return in_test.fillna(now)


def latency(model: bytes) -> float:
    """Measures the milliseconds of processor time that one picture takes on one core.

    Processor time leaves out the waits for a core that other programs hold, and of three rounds'
    medians the smallest counts, for other programs can only slow a round down.
    Decoding is left out, for it depends on the photo and not on the network. A network that is very
    slow gets fewer pictures, for ten seconds in all.

    Args:
        model: The bytes of a `.tflite` file.
    """
    network = Network(model, workers=1)
    picture = np.random.default_rng(0).integers(0, 256, (network.size, network.size, 3), np.uint8)
    deadline, rounds = time.monotonic() + _SECONDS, []
    for _ in range(_ROUNDS):
        network.one(picture)  # the first one of a round finds cold caches
        seconds = []
        while len(seconds) < _REPEATS and (not seconds or time.monotonic() < deadline):
            started = time.process_time()
            network.one(picture)
            seconds.append(time.process_time() - started)
        rounds.append(statistics.median(seconds))
        if time.monotonic() > deadline:
            break
    return min(rounds) * 1000


def image(path: Path, box: str) -> bytes:
    """Reads a photo, or what a box cuts out of it.

    Raises:
        PhotoUnreadable: It is gone, may not be read or is no photo any more.
    """
    try:
        data = path.read_bytes()
        return decoding.cut(data, json.loads(box), sys.maxsize) if box else data
    except (OSError, decoding.PhotoError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PhotoUnreadable(
            f"the test photo {path} cannot be read: {reason}. Put it back, or run `dvc repro` from "
            "ingest on, so that it is no longer one of the test photos"
        ) from None
