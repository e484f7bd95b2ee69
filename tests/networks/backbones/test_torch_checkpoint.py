import io
import os
import pickle
import struct
from typing import NamedTuple

import numpy as np
import pytest

from pipeline.networks.backbones import torch_checkpoint

HEADER = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


class Global(NamedTuple):
    """Pickles as this name, whether or not there is such a thing."""

    module: str
    name: str


class Tensor(NamedTuple):
    """Pickles as a tensor of PyTorch."""

    key: str = "0"
    length: int = 6
    offset: int = 0
    shape: tuple = (2, 3)
    strides: tuple = (3, 1)
    dtype: str = "FloatStorage"


class Writer(pickle._Pickler):  # the one in Python lets names be written that do not exist
    def persistent_id(self, obj):
        if isinstance(obj, tuple) and obj[:1] == ("storage",):
            return obj

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Tensor):
            storage = ("storage", Global("torch", obj.dtype), obj.key, "cpu", obj.length, None)
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((storage, obj.offset, obj.shape, obj.strides, False, None))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def write(tensors, storages=None) -> bytes:
    """What `torch.save` wrote before PyTorch 1.6."""
    storages = {"0": np.arange(6, dtype="<f4")} if storages is None else storages
    file = io.BytesIO()
    for part in (*HEADER, tensors, list(storages)):
        Writer(file, 2).dump(part)
    for values in storages.values():
        file.write(struct.pack("<q", len(values)) + values.tobytes())
    return file.getvalue()


def test_tensors_come_back_by_name():
    storages = {"7": np.arange(6, dtype="<f4"), "8": np.array([42], "<i8")}
    tensors = {"steps": Tensor("8", 1, 0, (), (), "LongStorage"), "weight": Tensor("7")}
    read = torch_checkpoint.load(write(tensors, storages))
    np.testing.assert_array_equal(read["weight"], [[0, 1, 2], [3, 4, 5]])
    assert read["weight"].dtype == np.float32
    assert read["steps"] == 42 and read["steps"].shape == ()


def test_strides_and_offsets_are_followed():
    tensors = {
        "turned": Tensor(shape=(3, 2), strides=(1, 3)),
        "tail": Tensor("0", 6, 4, (2,), (1,)),
    }
    read = torch_checkpoint.load(write(tensors))
    np.testing.assert_array_equal(read["turned"], [[0, 3], [1, 4], [2, 5]])
    np.testing.assert_array_equal(read["tail"], [4, 5])


def test_tensors_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        torch_checkpoint.load(write({"weight": Tensor()}))["weight"][0] = 1


class Hostile:
    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


@pytest.mark.parametrize("where", ["first pickle", "state"])
def test_a_pickle_that_runs_a_command_is_refused(tmp_path, where):
    made = tmp_path / "made"
    attack = Hostile(os.system, f"touch {made}")
    data = pickle.dumps(attack, 2) if where == "first pickle" else write({"weight": attack})
    with pytest.raises(pickle.UnpicklingError, match=r"refused to load \w+\.system"):
        torch_checkpoint.load(data)
    assert not made.exists()


@pytest.mark.parametrize("call", [eval, getattr, __import__, np.dtype, open])
def test_any_other_name_is_refused(call):
    with pytest.raises(pickle.UnpicklingError, match="refused to load"):
        torch_checkpoint.load(write({"weight": Hostile(call, "1")}))
