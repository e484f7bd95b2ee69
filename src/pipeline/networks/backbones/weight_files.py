"""Reads files of weights by their content, whatever they are called, and trusts none of them."""

import zipfile
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from pipeline.networks.backbones import torch_checkpoint
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

Form = Literal["keras", "legacy_h5", "tensors"]
_IN_ARCHIVE = "model.weights.h5"  # where a `.keras` file has its weights


def form(path: Path) -> Form:
    """Tells which program's weights a file holds.

    Args:
        path: The file; its name does not matter.

    Returns:
        `keras` for `.keras` and `.weights.h5` of Keras 3, `legacy_h5` for `.h5` of Keras before,
        `tensors` for the others, which are safetensors, PyTorch's or unreadable.

    Raises:
        UnusableWeights: The file cannot be read.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return "keras" if _IN_ARCHIVE in archive.namelist() else "tensors"
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                legacy = "layer_names" in file.attrs or "model_weights" in file
                return "legacy_h5" if legacy else "keras"
    except (OSError, zipfile.BadZipFile) as error:
        raise UnusableWeights(f"the file is damaged: {error}") from None
    return "tensors"


def tensors(path: Path) -> dict[str, np.ndarray]:
    """Reads a file of safetensors, or what `torch.save(model.state_dict())` wrote.

    Args:
        path: The file; its name does not matter.

    Returns:
        Tensors by name; those of nested dictionaries by names with dots between them.

    Raises:
        UnusableWeights: It is neither, is damaged, or names anything but tensors.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableWeights(f"the file cannot be read: {error.strerror}") from None
    if data[8:9] != b"{":  # a header in JSON, after its length in 8 bytes
        return torch_checkpoint.load(data)
    try:
        return safetensors.numpy.load(data)
    except SafetensorError as error:
        raise UnusableWeights(f"not a whole file of safetensors: {error}") from None
    except KeyError as error:
        raise UnusableWeights(f"it has numbers of type {error}: save them as float32") from None


def extract_h5(path: Path, folder: Path) -> Path:
    """Returns the HDF5 file of a `.keras` or `.weights.h5` file.

    Args:
        path: The file, of the form `keras`.
        folder: Where to put what has to be unpacked.

    Raises:
        UnusableWeights: It unpacks to more than twice its size, which weights never do, or leads
            to other files.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_IN_ARCHIVE).file_size > 2 * path.stat().st_size:
                raise UnusableWeights("the archive unpacks to many times its size")
            path = Path(archive.extract(_IN_ARCHIVE, folder))
    with h5py.File(path) as file:
        _require_contained(file)
    return path


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
