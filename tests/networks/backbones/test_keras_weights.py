"""Files of weights as people have them, each for EfficientNet-Lite0 but where another is named."""

import io
import zipfile

import h5py
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.networks import backbones
from pipeline.networks.backbones.backbone import UnusableWeights
from pipeline.networks.backbones.efficientnet_lite import LITE0

SIZE = 64


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


WRITERS = {
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


def holed(path, source):
    """A file of this network with one number that is none."""
    path = as_keras(lambda source: source, ".weights.h5")(path, source)
    with h5py.File(path, "r+") as file:
        file["layers/conv2d/vars/0"][0, 0, 0, 0] = np.nan
    return path


REFUSED = {
    "a text": (b"<!DOCTYPE html>", "not a whole file of Keras 3"),
    "no weights in a zip": (zipped(b"").replace(b"model.w", b"nodel.w"), "not a whole file"),
    "Keras 2": (hdf5(lambda file: file.attrs.update(layer_names=["a"])), "no weights of this"),
    "another network": (hdf5(lambda file: file.create_group("layers")), "no weights of this"),
    "not HDF5": (zipped(b"no HDF5"), "not a whole file"),
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


def test_a_number_that_is_none_is_refused(tmp_path, source, target):
    lite0 = backbones.Backbone("lite0", SIZE, lambda _: target, LITE0.load_weights)
    with pytest.raises(UserError, match="NaN or infinite"):
        lite0.build(SIZE, weights=str(holed(tmp_path / "weights", source)))


def test_a_file_that_may_not_be_read_is_refused(tmp_path, target):
    with pytest.raises(UnusableWeights, match="not a whole file"):
        LITE0.load_weights(target, str(tmp_path))
