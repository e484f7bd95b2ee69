"""Reads weights that PyTorch saved, without PyTorch and without trusting them.

Such a file, in the format of PyTorch before 1.6, is five pickles (a magic number, a version, facts
about the machine, the tensors' shapes, the order of the storages) and after them the storages'
bytes. A pickle can call any function there is; here it can name four things, none of which acts.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pipeline.core.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


class UnusableWeights(UserError):
    """A file of weights that is missing, altered, damaged or not what it claims to be."""


class _Storage(NamedTuple):
    key: str
    dtype: str
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, values: np.ndarray) -> np.ndarray:
        numbers = (self.offset, *self.shape, *self.strides)
        if not all(type(n) is int and n >= 0 for n in numbers):
            raise UnusableWeights(f"expected whole numbers from 0, found {numbers}")
        # as_strided believes what it is told, so the last value it will reach is checked here.
        last = self.offset + sum(
            (n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)
        )
        if not (0 < math.prod(self.shape) <= len(values) and last < len(values)):
            raise UnusableWeights(f"a tensor reaches outside its storage {self.storage.key}")
        strides = [step * values.itemsize for step in self.strides]
        return as_strided(values[self.offset :], self.shape, strides, writeable=False)


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


# Names for types rather than the types: a pickle may set attributes of what it is given.
_ALLOWED = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch.FloatStorage": "<f4",
    "torch.LongStorage": "<i8",
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise UnusableWeights(f"refused to load {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, length, view = pid
        if kind != "storage" or dtype not in ("<f4", "<i8") or view is not None:
            raise UnusableWeights(f"expected a storage, found {pid!r}")
        return _Storage(key, dtype, length)


def _parse(data: bytes) -> dict[str, np.ndarray]:
    file = io.BytesIO(data)
    magic, version, machine, tensors, keys = (_RestrictedUnpickler(file).load() for _ in range(5))
    if (magic, version, machine["little_endian"]) != (_MAGIC, _VERSION, True):
        raise UnusableWeights("not the little-endian format of PyTorch before 1.6")

    declared = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    values, position = {}, file.tell()
    for key in keys:
        _, dtype, length = declared[key]
        # Each storage repeats its length in front of its bytes. Both frombuffer calls raise
        # ValueError rather than read past the end.
        (stored,) = np.frombuffer(data, "<i8", 1, position)
        if stored != length or length < 1:
            raise UnusableWeights(f"storage {key} holds {stored} values, expected {length}")
        values[key] = np.frombuffer(data, dtype, length, position + 8)
        position += 8 + values[key].nbytes
    if position != len(data):
        raise UnusableWeights(f"{len(data) - position} bytes too many at the end")
    return {name: tensor.view(values[tensor.storage.key]) for name, tensor in tensors.items()}


def load(data: bytes) -> dict[str, np.ndarray]:
    """Reads what `torch.save(model.state_dict())` wrote.

    Args:
        data: a whole file in the legacy format, that is, not a zip archive. float32 and int64
            tensors only.

    Returns:
        Tensors by name, in the file's order, as read-only views of `data`.

    Raises:
        UnusableWeights: if the file is damaged, of another format, or names anything but an
            OrderedDict of tensors. Nothing it names is ever imported or called.
    """
    try:
        return _parse(data)
    except UnusableWeights:
        raise
    except Exception as error:  # a damaged pickle can raise any exception there is
        raise UnusableWeights(f"not weights of PyTorch: {type(error).__name__}: {error}") from error
