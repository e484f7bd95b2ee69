"""Computes the features of a frozen network once for each picture."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.core import atomic
from pipeline.core.progress import track
from pipeline.dataset.shards import Shards
from pipeline.inference.litert import Network
from pipeline.networks import devices, keras_setup, litert_export
from pipeline.networks.quiet_keras import keras

T = TypeVar("T")
_PART = 256  # pictures, on average: what is lost when a run is killed, and lies in memory, twice
_MOST = 1024  # pictures in a part
_BATCH = 64  # pictures that a GPU sees at once, if it has the memory


@dataclass(frozen=True)
class Frozen:
    """A frozen network in the fastest engine at hand, a GPU or else LiteRT on every core.

    Attributes:
        key: Of network, weights and engine; features depend on them and the pictures.
        load: Returns the network: from pictures, each uint8 (size, size, 3), to float32 (n, ...).
    """

    key: bytes
    load: Callable[[], Callable[[Sequence[np.ndarray]], np.ndarray]] = field(compare=False)

    @classmethod
    def of(cls, network: keras.Model, cache: Path) -> "Frozen":
        """Prepares a network from pixels on; `cache` is a folder for exported networks."""
        if devices.training_gpus():
            key = f"{litert_export.digest(network)} by tensorflow on a GPU"
            return cls(key.encode(), partial(_on_gpu, network.to_json(), network.get_weights()))
        exported = litert_export.cached(network, cache)
        return cls(hashlib.sha256(exported).digest(), lambda: Network(exported))


def _on_gpu(
    network: str, weights: list[np.ndarray]
) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Returns a copy of a network on a GPU.

    The network itself, once compiled, would be saved with an optimizer.
    """
    model = keras.models.model_from_json(network)
    model.set_weights(weights)
    model.compile(jit_compile=devices.XLA)
    size = _BATCH

    def predict(pictures: Sequence[np.ndarray]) -> np.ndarray:
        nonlocal size
        # In batches all alike, for it is compiled anew for each size of them; one by one, for
        # `predict` waits at its end (see `devices.feed`).
        count = -(-len(pictures) // size) * size
        filled = np.resize(np.stack(pictures), (count, *pictures[0].shape))
        batches = (filled[start : start + size] for start in range(0, count, size))
        try:
            features = [model.predict_on_batch(batch) for batch in batches]
        except Exception as error:
            if size == 1 or not keras_setup.out_of_memory(error):
                raise
            size //= 2
            print(f"no memory for {2 * size} pictures at once: going on with {size}", flush=True)
            return predict(pictures)
        return np.concatenate(features)[: len(pictures)]

    return predict


def extract(
    model: Frozen, shards: Shards, positions: np.ndarray, cache: Path, what: str = "pictures"
) -> Iterator[tuple[np.ndarray, bool]]:
    """Computes the features of pictures, or reads those that were computed before.

    The cache goes by content: its keys are made of the network's own and the pictures' pixels,
    so it is right for whatever params led to them, and a killed run goes on where it was.

    Args:
        model: The frozen network.
        shards: The pictures.
        positions: Which of them, as positions in the index.
        cache: Folder for what was computed; safe to delete at any time.
        what: How to call the pictures in the progress line.

    Yields:
        Features of some hundred pictures, float32 (n, ...), in their order, and whether they were
        cached.
    """
    network = None
    cache.mkdir(parents=True, exist_ok=True)
    key_of_model = hashlib.sha256(model.key)
    ready = _ahead(_parts(shards, positions))
    for pictures, digests in track(
        ready, len(positions), f"features of {what}", "pictures", count=lambda item: len(item[0])
    ):
        key = key_of_model.copy()
        key.update(repr(pictures[0].shape).encode() + digests)
        path = cache / f"{key.hexdigest()}.npy"
        if (cached := _read(path)) is not None:
            path.touch()
            yield cached, True
            continue
        network = network or model.load()
        computed = network(pictures)
        with atomic.atomic_write(path) as partial, partial.open("wb") as file:
            np.save(file, computed)
        yield computed, False


def _parts(shards: Shards, positions: np.ndarray) -> Iterator[tuple[list[np.ndarray], bytes]]:
    """Pictures, and the digests of each, in parts that end where a digest says so.

    So pictures that come or go change the parts in which they stand and none after them
    (content-defined chunking, Muthitacharoen et al. 2001).
    """
    part: list[np.ndarray] = []
    digests = b""
    for start in range(0, len(positions), _PART):
        for picture in shards.take(positions[start : start + _PART]):
            digest = hashlib.sha256(picture).digest()
            part.append(picture)
            digests += digest
            if int.from_bytes(digest[:4]) % _PART == 0 or len(part) == _MOST:
                yield part, digests
                part, digests = [], b""
    if part:
        yield part, digests


def _read(path: Path) -> np.ndarray | None:
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError):  # there is none, or power was cut
        return None


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields items, each computed while the caller works on the one before."""
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = worker.submit(next, items, None)
            yield item
