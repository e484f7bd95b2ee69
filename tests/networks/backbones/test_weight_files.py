"""Files of weights as people have them, each for EfficientNet-Lite0 but where another is named."""

import io
import json
import struct
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy

from networks.backbones.test_torch_checkpoint import archive, today
from pipeline.core.errors import UserError
from pipeline.networks import backbones
from pipeline.networks.backbones import efficientnet_lite, weight_files
from pipeline.networks.backbones.efficientnet_lite import LITE0
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

SIZE = 64
TENSORS = efficientnet_lite.read_imagenet(LITE0.network.args[1])


def timm(tensors):
    """The names of timm's `tf_efficientnet_lite0`, by its stages of 1, 2, 2, 3, 3, 4, 1 blocks."""
    blocks = [(s, b) for s, n in enumerate((1, 2, 2, 3, 3, 4, 1)) for b in range(n)]
    renamed = {}
    for name, tensor in tensors.items():
        match name.replace("_", "", 1).split("."):
            case ["blocks", number, part, rest]:
                stage, block = blocks[int(number)]
                first = ["_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
                order = first if stage == 0 else ["_expand_conv", "_bn0", *first]
                later = "conv_pw bn1 conv_dw bn2 conv_pwl bn3"
                names = "conv_dw bn1 conv_pw bn2" if stage == 0 else later
                part = names.split()[order.index(part)]
                renamed[f"blocks.{stage}.{block}.{part}.{rest}"] = tensor
            case [part, rest]:
                part = {"bn0": "bn1", "bn1": "bn2", "fc": "classifier"}.get(part, part)
                renamed[f"{part}.{rest}"] = tensor
    return renamed


def as_safetensors(tensors):
    plain = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    return safetensors.numpy.save(plain)


def as_torch(tensors):
    """A checkpoint of a training on several GPUs, with the state a level down."""
    storages = {str(i): np.ravel(tensor) for i, tensor in enumerate(tensors.values())}
    state = {}
    for key, (name, tensor) in zip(storages, tensors.items(), strict=True):
        strides = [step // tensor.itemsize for step in np.empty(tensor.shape, tensor.dtype).strides]
        kind = {"f": "FloatStorage", "i": "LongStorage"}[tensor.dtype.kind]
        state[f"module.{name}"] = today(key, tensor.size, 0, tensor.shape, tuple(strides), kind)
    return archive({"epoch": 90, "state_dict": state, "lr": 0.1}, storages)


@pytest.fixture(scope="module")
def source():
    return LITE0.build(SIZE).whole


@pytest.fixture(scope="module")
def target():
    return LITE0.network(SIZE)


def as_keras(model, suffix):
    def write(path, source):
        path = path.with_suffix(suffix)
        (model(source).save if suffix == ".keras" else model(source).save_weights)(path)
        return path

    return write


def recogniser(source):
    import keras

    head = keras.Sequential([keras.Input((1280,)), keras.layers.Dense(5)])
    return keras.Model(source.input, keras.layers.Softmax()(head(source.output)))


def layer_of_another(source):
    import keras

    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Sequential([inputs, keras.layers.Conv2D(3, 1), source, keras.layers.Dense(5)])


def as_bytes(content):
    def write(path, source):
        path.write_bytes(content)
        return path

    return write


WRITERS = {
    "safetensors, names of the package": as_bytes(as_safetensors(TENSORS)),
    "safetensors, names of timm": as_bytes(as_safetensors(timm(TENSORS))),
    "torch, names of timm": as_bytes(as_torch(timm(TENSORS))),
    "torch, names of the package": as_bytes(as_torch(TENSORS)),
    "keras": as_keras(lambda source: source, ".keras"),
    "weights.h5": as_keras(lambda source: source, ".weights.h5"),
    "keras, with a head": as_keras(recogniser, ".keras"),
    "weights.h5, as a layer": as_keras(layer_of_another, ".weights.h5"),
}


@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_the_network_has_the_numbers_of_the_file(tmp_path, source, target, writer):
    target.set_weights([np.zeros(weight.shape) for weight in target.get_weights()])
    path = writer(tmp_path / "weights", source)
    LITE0.load_weights(target, str(path.rename(tmp_path / "name without ending")))
    for loaded, expected in zip(target.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, expected)


def test_the_blocks_of_all_variants_have_timms_names():
    """Lite2 has stages of 1, 3, 3, 4, 4, 5, 1 blocks in timm."""
    variant = efficientnet_lite.LITE2.network.args[1]
    last = sum((1, 3, 3, 4, 4, 5, 1)) - 1
    names = [efficientnet_lite._timm_name(variant, f"blocks.{n}.bn0") for n in (1, 3, 4, 15, last)]
    expected = ["1.0", "1.2", "2.0", "5.0", "6.0"]
    assert names == [f"blocks.{place}.bn1" for place in expected]


def changed(name, tensor):
    return as_safetensors(timm(TENSORS) | {name: tensor})


def zipped(content, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as opened:
        opened.writestr("model.weights.h5", content)
    return file.getvalue()


def hdf5(build):
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        build(opened)
    return file.getvalue()


def external(file):
    file.create_dataset("layers/conv2d/vars/0", 4, "f4", external=[("/etc/passwd", 0, 16)])


HEADER = json.dumps({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
NAN = np.full((32, 3, 3, 3), np.nan, np.float32)
REFUSED = {
    "an infinite number": (changed("conv_stem.weight", NAN), "NaN or infinite"),
    "another shape": (changed("conv_stem.weight", NAN[:8]), "another network"),
    "no stem": (as_safetensors({"a": NAN}), "no tensor in it is called conv_stem"),
    "a layer missing": (as_safetensors({"conv_stem.weight": NAN}), "it has no 'bn1.weight'"),
    "half a file": (as_safetensors(TENSORS)[:5000], "not a whole file of safetensors"),
    "bfloat16": (struct.pack("<Q", len(HEADER)) + HEADER + bytes(2), "save them as float32"),
    "a text": (b"<!DOCTYPE html>", "not weights of PyTorch"),
    "no file of weights in a zip": (zipped(b"").replace(b"model.w", b"nodel.w"), "PyTorch"),
    "Keras 2": (hdf5(lambda file: file.attrs.update(layer_names=["a"])), "before version 3"),
    "another network": (hdf5(lambda file: file.create_group("layers")), "no weights of this"),
    "not HDF5": (zipped(b"no HDF5"), "damaged"),
    "a bomb": (zipped(bytes(10**6), zipfile.ZIP_DEFLATED), "many times its size"),
    "another file's bytes": (hdf5(external), "read from another file"),
    "a link": (hdf5(lambda f: f.update(layers=h5py.ExternalLink("x.h5", "/"))), "is a link"),
}


@pytest.mark.slow
def test_a_file_of_keras_without_one_layer_is_of_another_network(tmp_path, source, target):
    path = as_keras(lambda source: source, ".weights.h5")(tmp_path / "weights", source)
    with h5py.File(path, "r+") as file:
        del file["layers/batch_normalization_7"]
    with pytest.raises(UnusableWeights, match="no weights of this network"):
        LITE0.load_weights(target, str(path))


@pytest.mark.parametrize(("content", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_one_sentence(tmp_path, target, content, reason):
    path = tmp_path / "mine.bin"
    path.write_bytes(content)
    lite0 = backbones.Backbone("lite0", SIZE, lambda _: target, LITE0.load_weights)
    with pytest.raises(UserError, match=reason) as refusal:
        lite0.build(SIZE, weights=str(path))
    assert "mine.bin" in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    with pytest.raises(UnusableWeights, match="cannot be read"):
        weight_files.tensors(tmp_path)
