"""Loads files of weights that Keras saved, whatever they are called, and trusts none of them.

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

from pipeline.networks.backbones.backbone import UnusableWeights

if TYPE_CHECKING:
    import keras

_IN_ARCHIVE = "model.weights.h5"  # where a `.keras` file has its weights


def is_legacy(path: Path) -> bool:
    """Tells whether a file is an `.h5` of Keras before version 3."""
    try:
        with h5py.File(path) as file:
            return "layer_names" in file.attrs or "model_weights" in file
    except OSError:  # a `.keras` file, or damaged
        return False


def load(networks: Sequence[keras.Model], path: Path) -> keras.Model:
    """Loads weights into the first network that they fit.

    The network may stand by itself in the file, with a head on it, or as a layer of another model,
    as in `keras.Sequential([keras.applications.MobileNetV2(...), ...])`.

    Args:
        networks: Forms of one network. Those that do not fit may end with a part of the weights.
        path: A `.keras` or `.weights.h5` file of Keras 3.

    Returns:
        The network that has them.

    Raises:
        UnusableWeights: They fit none, or it is no such file, or a damaged one.
    """
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            h5py.File(_extracted(path, Path(folder))) as file,
        ):
            _require_contained(file)
            for model in _models(file):
                copy = Path(folder) / "copy.weights.h5"
                with h5py.File(copy, "w") as target:
                    for name in model:
                        model.copy(name, target)
                for network in networks:
                    if _fits(network, copy):
                        return network
    except (OSError, RuntimeError, KeyError, zipfile.BadZipFile) as error:
        raise UnusableWeights(
            f"it is not a whole file of Keras 3 (.keras or .weights.h5): {error}"
        ) from None
    raise UnusableWeights("it holds no weights of this network")


def _extracted(path: Path, folder: Path) -> Path:
    """Returns the HDF5 file of a `.keras` or `.weights.h5` file, unpacked into a folder if need be.

    Raises:
        UnusableWeights: It unpacks to more than twice its size, which weights never do.
    """
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(_IN_ARCHIVE).file_size > 2 * path.stat().st_size:
            raise UnusableWeights("the archive unpacks to many times its size")
        return Path(archive.extract(_IN_ARCHIVE, folder))


def _require_contained(group: h5py.Group) -> None:
    """Checks that no part of an HDF5 file is read from another file, which it may name."""
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise UnusableWeights(f"{name} in it is a link")
        item = group[name]
        if isinstance(item, h5py.Group):
            _require_contained(item)
        elif item.external or item.is_virtual:
            raise UnusableWeights(f"{name} in it is read from another file")


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
