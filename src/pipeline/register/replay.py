"""Replays test photos through a registered version before it serves."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from pipeline.core import parallel, tracking
from pipeline.inference import decoding
from pipeline.inference.litert import Network
from pipeline.register import versions

Ask = Callable[[list[bytes]], pd.DataFrame]
_ROWS = 16  # photos asked about at once; they may have 10 MB each
_REPEATS, _SECONDS = 51, 10.0  # of timing one picture


def version(found: versions.Version) -> Ask:
    """A version's own code and network in this process.

    Raises:
        UserError: Its files are not the ones that were registered.
    """
    folder = versions.folder(found)
    with _other_code():
        model = tracking.mlflow().pyfunc.load_model(folder.as_posix())
    return lambda images: model.predict(pd.DataFrame({"image": images}))


@contextmanager
def _other_code() -> Iterator[None]:
    """Lets the block import another `pipeline` than this one: a version carries parts of its own,
    which need not fit those of today."""

    def taken() -> dict[str, ModuleType]:
        ours = [name for name in sys.modules if name.split(".")[0] == "pipeline"]
        return {name: sys.modules.pop(name) for name in ours}

    ours = taken()
    try:
        yield
    finally:
        taken()
        sys.modules.update(ours)


def answers(ask: Ask, predictions: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Asks about test photos, from their files, or about what was cut out of them.

    Args:
        ask: What `version` gave.
        predictions: With columns path and box, as `packaging.read_table` gives it.
        root: The folder that the paths start from.

    Returns:
        species and probability, with the index of `predictions`.
    """
    found = []
    wanted = list(zip(predictions["path"], predictions["box"], strict=True))
    for rows in parallel.chunks(wanted, _ROWS):
        answered = ask([_image(root / path, box) for path, box in rows])
        found.append(answered.iloc[:, :2].set_axis(["species", "probability"], axis=1))
    return pd.concat(found, ignore_index=True).set_index(predictions.index)


def latency(model: bytes) -> float:
    """Milliseconds that one picture takes on one core: the median of 51, after three for nothing.

    Decoding is left out, for it depends on the photo and not on the network. A network that is very
    slow is asked less often, for ten seconds in all.

    Args:
        model: The bytes of a `.tflite` file.
    """
    network = Network(model, workers=1)
    picture = np.random.default_rng(0).integers(0, 256, (network.size, network.size, 3), np.uint8)
    ends, seconds = time.monotonic() + _SECONDS, []
    for _ in range(3 + _REPEATS):
        started = time.perf_counter()
        network.one(picture)
        seconds.append(time.perf_counter() - started)
        if len(seconds) > 3 and time.monotonic() > ends:
            break
    return float(np.median(seconds[3:]) * 1000)


def _image(path: Path, box: str) -> bytes:
    data = path.read_bytes()
    return decoding.cut(data, json.loads(box), sys.maxsize) if box else data
