"""Features of the training and validation pictures, one array a frozen network."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from pipeline.dataset.shards import Shards
from pipeline.networks import backbones, feature_cache
from pipeline.networks.quiet_keras import keras, tf

IN_MEMORY = 256_000_000  # bytes of features that are held as tensors, at most


@dataclass(frozen=True)
class Pictures:
    """Some pictures of a folder of shards.

    Attributes:
        shards: The folder.
        positions: Positions of the pictures in its index, int (n,).
    """

    shards: Shards
    positions: np.ndarray

    @property
    def species(self) -> Any:
        """Species of the pictures, a column of the index."""
        return self.shards.index["species"].iloc[self.positions]

    @property
    def copies(self) -> np.ndarray:
        """Numbers of the pictures among the copies of their photos; 0 is the photo itself."""
        return self.shards.index["copy"].to_numpy()[self.positions]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Reads pictures, uint8 (n, size, size, 3)."""
        return self.shards.take(self.positions[rows])


@dataclass(frozen=True)
class Features:
    """Features of some pictures.

    Attributes:
        arrays: One or several, (n, ..., channels), mapped files or tensors; of several the channels
            stand side by side.
        rows: Which of them, int. Defaults to None: all.
    """

    arrays: tuple[Any, ...]
    rows: np.ndarray | None = None

    @property
    def tensors(self) -> tuple[Any, ...]:
        """The arrays, if all of them are tensors, else none."""
        return self.arrays if all(map(tf.is_tensor, self.arrays)) else ()

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows of `arrays` that some rows are."""
        return rows if self.rows is None else self.rows[rows]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns features, (n, ..., channels)."""
        numbers = self.numbers(rows)
        first, *others = (np.asarray(array)[numbers] for array in self.arrays)
        return np.concatenate([first, *others], axis=-1) if others else first


class FeatureStore:
    """Computes features once for each frozen network, and keeps them.

    Few pooled ones are a tensor in the processor's memory. Others are a file that is mapped into
    it, which so holds what is in use, as far as there is room. A network of several side by side
    has the features of each; those are shared with other networks that have one of them.

    Args:
        parts: Pictures by a name for the progress line, such as `training`.
        cache: Folder for features and exported networks; safe to delete at any time.
    """

    def __init__(self, parts: Mapping[str, Pictures], cache: Path) -> None:
        self._parts, self._cache = parts, cache
        self._engines: WeakKeyDictionary = WeakKeyDictionary()
        self._features: dict[feature_cache.Frozen, Any] = {}
        self._num_cached: dict[feature_cache.Frozen, int] = {}
        self.seconds = 0.0  # spent so far, computing or reading

    def get(self, network: keras.Model) -> tuple[Features, ...]:
        """Returns the features of each part, as a network from pixels on computes them.

        All have the same arrays, in which the parts stand below each other.
        """
        # Of several side by side the last layer concatenates what each gives.
        each = backbones.towers(network) or [network]
        for one in each:
            if one not in self._engines:
                self._engines[one] = feature_cache.Frozen.of(one, self._cache / "litert")
        arrays = tuple(self._of_one(self._engines[one]) for one in each)
        ends = np.cumsum([len(part.positions) for part in self._parts.values()])
        rows = np.split(np.arange(ends[-1]), ends[:-1])
        return tuple(Features(arrays, of_part) for of_part in rows)

    @property
    def cached(self) -> str:
        """Says how many features did not have to be computed."""
        if not self._num_cached:
            return "trained from pixels, nothing cached"
        pictures = sum(len(part.positions) for part in self._parts.values())
        total = len(self._num_cached) * pictures
        return f"features: {sum(self._num_cached.values())} of {total} were cached"

    def _of_one(self, engine: feature_cache.Frozen) -> Any:
        if engine not in self._features:
            started = time.monotonic()
            self._drop_maps()
            self._features[engine], self._num_cached[engine] = self._extract(engine)
            self.seconds += time.monotonic() - started
        return self._features[engine]

    def _extract(self, engine: feature_cache.Frozen) -> tuple[Any, int]:
        """Returns features of all parts, and of how many pictures they were cached."""
        loaded_once = replace(engine, load=lru_cache(engine.load))  # it takes seconds
        folder = self._cache / "features"
        folder.mkdir(parents=True, exist_ok=True)
        num_pictures, num_cached = 0, 0
        with TemporaryFile(dir=folder) as file:
            for name, part in self._parts.items():
                pictures = part.shards, part.positions
                for values, cached in feature_cache.extract(loaded_once, *pictures, folder, name):
                    file.write(values.tobytes())
                    num_pictures += len(values)
                    num_cached += len(values) * cached
            file.flush()
            shape = num_pictures, *values.shape[1:]
            mapped = np.memmap(file, values.dtype, "r", shape=shape)
        with suppress(MemoryError, tf.errors.ResourceExhaustedError), tf.device("cpu"):
            if mapped.ndim == 2 and mapped.nbytes <= IN_MEMORY:  # feature maps serve one fit
                return tf.constant(mapped), num_cached
        return mapped, num_cached

    def _drop_maps(self) -> None:
        """Drops feature maps: pooled features are small, of maps only one network's fit."""
        for engine, values in list(self._features.items()):
            if values.ndim > 2:
                del self._features[engine]
