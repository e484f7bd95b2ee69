import contextlib
import io
import os
import pickle
import struct
import zipfile
from typing import NamedTuple

import numpy as np
import pytest

from pipeline.networks.backbones import torch_checkpoint
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

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
    legacy: bool = True


class Reduced(NamedTuple):
    """Pickles as a call of a function with one argument."""

    function: Global
    argument: object


class Writer(pickle._Pickler):  # the one in Python lets names be written that do not exist
    def persistent_id(self, obj):
        if isinstance(obj, tuple) and obj[:1] == ("storage",):
            return obj

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Reduced):
            self.save(obj.function)
            self.save((obj.argument,))
            self.write(pickle.REDUCE)
        elif isinstance(obj, Tensor):
            storage = ("storage", Global("torch", obj.dtype), obj.key, "cpu", obj.length)
            storage += (None,) if obj.legacy else ()
            self.save(Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((storage, obj.offset, obj.shape, obj.strides, False, None))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def write(tensors, storages=None, header=HEADER) -> bytes:
    """What `torch.save` wrote before PyTorch 1.6."""
    storages = {"0": np.arange(6, dtype="<f4")} if storages is None else storages
    file = io.BytesIO()
    for part in (*header, tensors, list(storages)):
        Writer(file, 2).dump(part)
    for values in storages.values():
        file.write(struct.pack("<q", len(values)) + values.tobytes())
    return file.getvalue()


def archive(tensors, storages, byteorder=b"little", compression=zipfile.ZIP_STORED) -> bytes:
    """What `torch.save` writes since PyTorch 1.6, in a folder called after the file."""
    pickled, file = io.BytesIO(), io.BytesIO()
    Writer(pickled, 2).dump(tensors)
    with zipfile.ZipFile(file, "w", compression) as opened:
        opened.writestr("mine/data.pkl", pickled.getvalue())
        opened.writestr("mine/byteorder", byteorder)
        for key, values in storages.items():
            opened.writestr(f"mine/data/{key}", values.tobytes())
        opened.writestr("mine/version", b"3\n")
    return file.getvalue()


def today(*arguments):
    return Tensor(*arguments, legacy=False)


def test_an_archive_gives_its_tensors_by_name_whatever_their_type_and_the_depth():
    storages = {
        "0": np.arange(6, dtype="<f4"),
        "1": np.array([0.5, -2], "<f2"),
        "2": np.array([1.5, -3], "<f4").view("<u2")[1::2].copy(),  # the upper halves: bfloat16
    }
    wrapped = Global("torch._utils", "_rebuild_parameter")
    tensors = {
        "epoch": 7,
        "args": None,
        "state": {
            "weight": today("0", 6, 1, (2, 2), (1, 2)),
            "half": today("1", 2, 0, (2,), (1,), "HalfStorage"),
            "brain": today("2", 2, 0, (2,), (1,), "BFloat16Storage"),
        },
        "parameter": Reduced(wrapped, today("0")),
    }
    read = torch_checkpoint.load(archive(tensors, storages))
    assert set(read) == {"state.weight", "state.half", "state.brain", "parameter"}
    np.testing.assert_array_equal(read["state.weight"], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(read["state.half"], [0.5, -2])
    np.testing.assert_array_equal(read["state.brain"], [1.5, -3])
    np.testing.assert_array_equal(read["parameter"], [[0, 1, 2], [3, 4, 5]])


def nested(depth):
    """Dictionaries that name the one below twice: 2 ** depth ways to the lowest."""
    below = {"x": 1}
    for _ in range(depth):
        below = {"a": below, "b": below}
    return below


SIX = {"0": np.arange(6, dtype="<f4")}
ZEROS = {"0": np.zeros(10**6, "<f4")}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive({"w": today()}, {"0": np.arange(5, dtype="<f4")}), "5 values, expected 6"),
        (archive({"w": today()}, {}), "no item named"),
        (archive({"w": today()}, SIX, b"big"), "little-endian"),
        (archive({"w": today("0", 10**6)}, ZEROS, compression=8), "unpacks to more"),
        (archive({"w": today("0", 6, 1)}, SIX), "outside its storage"),
        (archive({"w": Global("torch.nn", "Linear")}, SIX), r"torch.nn.Linear.*state_dict\(\)"),
        (archive([today()], SIX), "no dictionary"),
        (archive(nested(60), SIX), "no tensors"),
        (archive({"w": today()}, SIX)[:-9], "BadZipFile"),
        (archive({"w": today()}, SIX).replace(SIX["0"].tobytes(), bytes(24)), "BadZipFile"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the bytes hold the time
)
def test_an_archive_that_does_not_add_up_is_refused_in_one_line(data, reason):
    with pytest.raises(UnusableWeights, match=reason) as refusal:
        torch_checkpoint.load(data)
    assert "\n" not in str(refusal.value)


def test_tensors_come_back_by_name():
    storages = {"7": np.arange(6, dtype="<f4"), "8": np.array([42], "<i8")}
    tensors = {"weight": Tensor("7"), "steps": Tensor("8", 1, 0, (), (), "LongStorage")}
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
    with pytest.raises(UnusableWeights, match=r"refused to load \w+\.system"):
        torch_checkpoint.load(data)
    assert not made.exists()


@pytest.mark.parametrize("call", [eval, getattr, __import__, np.dtype, open])
def test_any_other_name_is_refused(call):
    with pytest.raises(UnusableWeights, match="refused to load"):
        torch_checkpoint.load(write({"weight": Hostile(call, "1")}))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(offset=1),
        Tensor(offset=-1),
        Tensor(shape=(3, 3)),
        Tensor(shape=(-2, -3)),
        Tensor(shape=(0, 3)),
        Tensor(shape=(2.0, 3)),
        Tensor(strides=(4, 1)),
        Tensor(strides=(-3, 1)),
        Tensor(strides=(2**62, 1)),
        Tensor(strides=(1,)),
        Tensor(shape=(2**40,), strides=(0,)),
        Tensor(offset=True),
        Tensor(shape="23"),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tensor):
    with pytest.raises(UnusableWeights):
        torch_checkpoint.load(write({"weight": tensor}))


@pytest.mark.parametrize(
    "data",
    [
        write({"weight": Tensor(length=7)}),
        write({"weight": Tensor(length=-1)}, {"0": np.array([], "<f4")}),
        write({"weight": Tensor("1")}),
        write({"weight": Tensor()}, {}),
        write({"weight": Tensor(dtype="HalfStorage")}),
        write({"weight": ("storage", "O", "0", "cpu", 6, None)}),
        write({"weight": 3}),
        write([Tensor()]),
        write({"weight": Tensor()}, header=(1, 1001, {"little_endian": True})),
        write({"weight": Tensor()}, header=(HEADER[0], 1002, {"little_endian": True})),
        write({"weight": Tensor()}, header=(HEADER[0], 1001, {"little_endian": False})),
        write({"weight": Tensor()}) + b"\0",
        b"PK\x03\x04",
        b"<!DOCTYPE html>",
    ],
)
def test_what_does_not_add_up_is_refused_in_one_line(data):
    with pytest.raises(UnusableWeights) as refusal:
        torch_checkpoint.load(data)
    assert "\n" not in str(refusal.value)


def test_a_file_cut_anywhere_is_refused():
    data = write({"weight": Tensor()})
    for length in range(len(data)):
        with pytest.raises(UnusableWeights):
            torch_checkpoint.load(data[:length])


def test_a_file_with_any_byte_changed_is_read_or_refused_but_never_fails_otherwise():
    data = write({"weight": Tensor()})
    for position in range(len(data)):
        for value in (0, 46, 82, 98, 255):  # among them the opcodes STOP, REDUCE and BUILD
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            with contextlib.suppress(UnusableWeights):
                torch_checkpoint.load(changed)
