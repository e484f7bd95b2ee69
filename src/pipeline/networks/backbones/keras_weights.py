"""Loads the weights that Keras 3 saved into a network that is there.

Only numbers are read: what a `.keras` file says about how to build its model is not.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from pipeline.networks.backbones import weight_files
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

if TYPE_CHECKING:
    import keras


def load(networks: Sequence[keras.Model], path: Path) -> keras.Model:
    """Loads weights into the first network that they fit.

    The network may stand by itself in the file, with a head on it, or as a layer of another model,
    as in `keras.Sequential([keras.applications.MobileNetV2(...), ...])`.

    Args:
        networks: Forms of one network. Those that do not fit may end with a part of the weights.
        path: A `.keras` or `.weights.h5` file.

    Returns:
        The network that has them.

    Raises:
        UnusableWeights: They fit none, or the file is damaged.
    """
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            h5py.File(weight_files.extract_h5(path, Path(folder))) as file,
        ):
            for model in _models(file):
                copy = Path(folder) / "copy.weights.h5"
                with h5py.File(copy, "w") as target:
                    for name in model:
                        model.copy(name, target)
                for network in networks:
                    if _fits(network, copy):
                        return network
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise UnusableWeights(f"the file is damaged: {error}") from None
    raise UnusableWeights("it holds no weights of this network")


def _models(group: h5py.Group) -> Iterator[h5py.Group]:
    """Yields the groups of an HDF5 file that hold a model, the outer ones first."""
    if "layers" not in group:
        return
    yield group
    for layer in group["layers"].values():
        yield from _models(layer)


def _fits(network: keras.Model, path: Path) -> bool:
    try:
        with warnings.catch_warnings(action="ignore"):  # of each part that is not there
            network.load_weights(path)
    except ValueError:  # a layer has no weights in the file, or of another shape
        return False
    return True
