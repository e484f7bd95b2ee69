"""Reads the weights that PyTorch before 1.6 saved, without PyTorch.

Such a file is five pickles (a magic number, a version, facts about the machine, the tensors'
shapes, the order of the storages) and after them each storage, its length before its values. A
pickle can call any function there is; here it can name four things, none of which acts.
"""

import io
import pickle
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


_ALLOWED = {
    "collections.OrderedDict": OrderedDict,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch.FloatStorage": "<f4",
    "torch.LongStorage": "<i8",
}


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in _ALLOWED:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}")
        return _ALLOWED[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _device, length, _view = pid
        return _Storage(key, np.dtype(dtype), length)


def load(data: bytes) -> dict[str, np.ndarray]:
    """Reads what `torch.save(model.state_dict())` wrote before PyTorch 1.6.

    Args:
        data: The whole file, whose hash was checked.

    Returns:
        Tensors by name, in the file's order, as read-only views.

    Raises:
        UnpicklingError: It names anything but tensors. Nothing it names is imported or called.
    """
    file = io.BytesIO(data)
    *_, tensors, keys = (_RestrictedUnpickler(file).load() for _ in range(5))
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    starts, end = {}, file.tell()
    for key in keys:
        starts[key] = end + 8
        end += 8 + storages[key].length * storages[key].dtype.itemsize
    views = {}
    for name, (storage, offset, shape, strides) in tensors.items():
        size = storage.dtype.itemsize
        start, steps = starts[storage.key] + offset * size, [step * size for step in strides]
        views[name] = np.ndarray(shape, storage.dtype, data, start, steps)
    return views
