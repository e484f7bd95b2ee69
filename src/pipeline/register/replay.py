"""What a registered version answers before it serves: in this process, and as the real server."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from pipeline.core import parallel, tracking
from pipeline.core.errors import UserError
from pipeline.inference import decoding
from pipeline.inference.litert import Network
from pipeline.register import versions

Ask = Callable[[list[bytes]], pd.DataFrame]
_ROWS = 16  # photos asked about at once; they may have 10 MB each
_READY = 120  # seconds that a server may take to start
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


@contextmanager
def server(found: versions.Version) -> Iterator[Ask]:
    """`mlflow models serve` with a version, as long as the block lasts.

    Raises:
        UserError: Its files are not the ones that were registered, it does not start, or it answers
            with an error; with what it said last.
    """
    versions.folder(found)
    uri = f"models:/{versions.NAME}/{found.number}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri]
    command += ["--env-manager", "local", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait(process, address)
            yield lambda images: _post(address, images)
        except (OSError, TimeoutError) as error:
            said.seek(0)
            last = said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise UserError(f"`mlflow models serve -m {uri}`: {error} {' '.join(last)}") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def answers(ask: Ask, predictions: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Asks about test photos, from their files, or about what was cut out of them.

    Args:
        ask: What `version` or `server` gave.
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


def _wait(process: subprocess.Popen, address: str) -> None:
    ends = time.monotonic() + _READY
    while time.monotonic() < ends:
        if process.poll() is not None:
            raise OSError("it ended at once.")
        try:
            urllib.request.urlopen(f"{address}/ping", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"it was not ready within {_READY} s.")


def _post(address: str, images: list[bytes]) -> pd.DataFrame:
    rows = [[base64.b64encode(image).decode()] for image in images]
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
    request = urllib.request.Request(
        f"{address}/invocations", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_READY) as response:
        return pd.DataFrame(json.load(response)["predictions"])
