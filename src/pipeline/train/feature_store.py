"""Features of the training and validation pictures, one array a frozen network."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from pipeline.dataset.shards import Shards
from pipeline.networks import backbones, feature_cache, keras_setup

if TYPE_CHECKING:
    import keras


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
        values: (n, ...).
        rows: Which of them, int. Defaults to None: all.
    """

    values: np.ndarray
    rows: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Returns features, (n, ...)."""
        return self.values[rows if self.rows is None else self.rows[rows]]


class FeatureStore:
    """Computes features once for each frozen network and holds them in memory.

    A network of several side by side has the features of each; those are shared with other
    networks that have one of them.

    Args:
        parts: Pictures by a name for the progress line, such as `training`.
        cache: Folder for features and exported networks; safe to delete at any time.
    """

    def __init__(self, parts: Mapping[str, Pictures], cache: Path) -> None:
        self._parts, self._cache = parts, cache
        self._engines: WeakKeyDictionary = WeakKeyDictionary()
        self._features: dict[feature_cache.Frozen, tuple[Features, ...]] = {}
        self._num_cached: dict[feature_cache.Frozen, int] = {}
        self.seconds = 0.0  # spent so far, computing or reading

    def get(self, network: "keras.Model") -> tuple[Features, ...]:
        """Returns the features of each part, as a network from pixels on computes them."""
        if network not in self._engines:
            self._engines[network] = self._engine(network)
        return self._get(self._engines[network])

    @property
    def cached(self) -> str:
        """Says how many features did not have to be computed."""
        if not self._num_cached:
            return "trained from pixels, nothing cached"
        pictures = sum(len(part.positions) for part in self._parts.values())
        total = len(self._num_cached) * pictures
        return f"features: {sum(self._num_cached.values())} of {total} were cached"

    @property
    def networks(self) -> int:
        """The number of networks whose features are in memory."""
        return len(self._features)

    def _engine(self, network: "keras.Model") -> Any:
        """Prepares a network to run.

        Several side by side become the layer that joins them and a list of what runs each.
        """
        if towers := backbones.towers(network):
            return network.layers[-1], [self._engine(tower) for tower in towers]
        return feature_cache.Frozen.of(network, self._cache / "litert")

    def _get(self, engine: Any) -> tuple[Features, ...]:
        if isinstance(engine, feature_cache.Frozen):
            return self._of_one(engine)
        join, engines = engine
        of_each = [self._get(each) for each in engines]
        with keras_setup.keras().device("cpu"):
            joined = [join([part.values for part in parts]) for parts in zip(*of_each, strict=True)]
        return tuple(Features(np.asarray(values)) for values in joined)

    def _of_one(self, engine: feature_cache.Frozen) -> tuple[Features, ...]:
        if engine not in self._features:
            started = time.monotonic()
            loaded_once = replace(engine, load=lru_cache(engine.load))  # it takes seconds
            self._drop_maps()
            folder = self._cache / "features"
            extracted = [
                feature_cache.extract(loaded_once, part.shards, part.positions, folder, name)
                for name, part in self._parts.items()
            ]
            self._features[engine] = tuple(Features(values) for values, _ in extracted)
            self._num_cached[engine] = sum(cached for _, cached in extracted)
            self.seconds += time.monotonic() - started
        return self._features[engine]

    def _drop_maps(self) -> None:
        """Drops feature maps: pooled features are small, of maps only one network's fit."""
        for engine, (first, *_) in list(self._features.items()):
            if first.values.ndim > 2:
                del self._features[engine]
