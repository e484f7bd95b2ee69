"""Reads weights that PyTorch saved, without PyTorch and without trusting them.

Such a file is a zip archive with a pickle of the tensors' shapes (`data.pkl`) and the bytes of each
storage. Before PyTorch 1.6 it was five pickles (a magic number, a version, facts about the machine,
the tensors' shapes, the order of the storages) and after them the storages' bytes. A pickle can
call any function there is; here it can name a dozen things, none of which acts.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
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
        """Returns the tensor as a view of its storage; bfloat16 as a copy in float32."""
        numbers = (self.offset, *self.shape, *self.strides)
        if not all(type(n) is int and n >= 0 for n in numbers):
            raise UnusableWeights(f"expected whole numbers from 0, found {numbers}")
        # as_strided checks nothing, so the last value it will reach is checked here.
        last = self.offset + sum(
            (n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)
        )
        if not (0 < math.prod(self.shape) <= len(values) and last < len(values)):
            raise UnusableWeights(f"a tensor reaches outside its storage {self.storage.key}")
        strides = [step * values.itemsize for step in self.strides]
        tensor = as_strided(values[self.offset :], self.shape, strides, writeable=False)
        if self.storage.dtype == _BFLOAT16:  # the upper half of a float32
            return (tensor.astype("<u4") << 16).view("<f4")
        return tensor


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


_BFLOAT16 = "<u2"  # numpy has no such type; PyTorch had no other of two bytes without a sign

# Names for types rather than the types: a pickle may set attributes of what it is given.
_ALLOWED = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch.FloatStorage": "<f4",
    "torch.LongStorage": "<i8",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.BFloat16Storage": _BFLOAT16,
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "<i1",
    "torch.ByteStorage": "<u1",
    "torch.BoolStorage": "?",
}
_DTYPES = {value for value in _ALLOWED.values() if isinstance(value, str)}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise UnusableWeights(
                f"refused to load {module}.{name}: save `model.state_dict()` and nothing else"
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, length, *view = pid
        if kind != "storage" or dtype not in _DTYPES or any(view):
            raise UnusableWeights(f"expected a storage, found {pid!r}")
        return _Storage(key, dtype, length)


def _parse_archive(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        (pickled,) = (name for name in names if name.split("/")[1:] == ["data.pkl"])
        root = pickled.removesuffix("data.pkl")
        if any(info.file_size > len(data) for info in archive.infolist()):
            raise UnusableWeights("it unpacks to more than its size, and PyTorch packs nothing")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise UnusableWeights("its numbers are not little-endian")
        tensors = _flat(_RestrictedUnpickler(io.BytesIO(archive.read(pickled))).load())
        values = {}
        for storage in {tensor.storage for tensor in tensors.values()}:
            stored = archive.read(f"{root}data/{storage.key}")
            values[storage.key] = _values(storage, np.frombuffer(stored, storage.dtype))
    return {name: tensor.view(values[tensor.storage.key]) for name, tensor in tensors.items()}


def _parse_legacy(data: bytes) -> dict[str, np.ndarray]:
    file = io.BytesIO(data)
    magic, version, machine, pickled, keys = (_RestrictedUnpickler(file).load() for _ in range(5))
    if (magic, version, machine["little_endian"]) != (_MAGIC, _VERSION, True):
        raise UnusableWeights("not the little-endian format of PyTorch before 1.6")

    tensors = _flat(pickled)
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


def _values(storage: _Storage, values: np.ndarray) -> np.ndarray:
    if len(values) != storage.length:
        raise UnusableWeights(
            f"storage {storage.key} holds {len(values)} values, expected {storage.length}"
        )
    return values


def _flat(pickled: Any) -> dict[str, _Tensor]:
    """Returns the tensors of nested dictionaries by dotted names; a checkpoint has more in them."""
    if not isinstance(pickled, dict):
        raise UnusableWeights("it holds no dictionary of tensors")
    tensors, todo, seen = {}, [("", pickled)], set()
    while todo:
        prefix, dictionary = todo.pop()
        if id(dictionary) in seen:  # each once, however often a hostile file names it
            continue
        seen.add(id(dictionary))
        for name, value in dictionary.items():
            if isinstance(value, _Tensor):
                tensors[f"{prefix}{name}"] = value
            elif isinstance(value, dict):
                todo.append((f"{prefix}{name}.", value))
    if not tensors:
        raise UnusableWeights("it holds no tensors")
    return tensors


def load(data: bytes) -> dict[str, np.ndarray]:
    """Reads what `torch.save(model.state_dict())` wrote, or a checkpoint with such a dictionary.

    Args:
        data: A whole file, a zip archive or of the format before PyTorch 1.6.

    Returns:
        Tensors by name, in the file's order, as read-only views; those of nested dictionaries by
        names with dots between them.

    Raises:
        UnusableWeights: The file is damaged, of another format, or names anything but dictionaries
            of tensors and plain values. Nothing it names is ever imported or called.
    """
    try:
        return _parse_archive(data) if data[:2] == b"PK" else _parse_legacy(data)
    except UnusableWeights:
        raise
    except Exception as error:  # a damaged pickle can raise any exception there is
        raise UnusableWeights(f"not weights of PyTorch: {type(error).__name__}: {error}") from error
