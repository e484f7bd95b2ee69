"""No published weights are at hand here: what is tested is all but their numbers."""

import subprocess
import sys
from urllib.error import URLError

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference.litert import Network
from pipeline.networks import backbones, litert_export
from pipeline.networks.backbones import keras_applications

SIZE = 96
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
PREPARATION = {"mean": "caffe", "signed": "tf", "standard": "torch"}


@pytest.mark.parametrize("sees", PREPARATION)
def test_a_network_sees_what_it_was_trained_to_see(sees):
    import keras
    from keras.src.applications import imagenet_utils

    pixels = keras.Input((SIZE, SIZE, 3))
    prepared = keras.Model(pixels, keras_applications._prepared(pixels, sees))(PIXELS)
    expected = imagenet_utils.preprocess_input(PIXELS.astype("float32"), mode=PREPARATION[sees])
    np.testing.assert_allclose(prepared, expected, atol=1e-4)


@pytest.mark.slow
def test_convnext_normalises_what_it_has_pooled():
    whole = backbones.get("convnext_tiny").network(SIZE)
    features = whole(PIXELS).numpy()
    np.testing.assert_allclose(features.std(axis=1), 1, atol=0.01)
    np.testing.assert_allclose(Network(litert_export.to_litert(whole))(PIXELS), features, atol=1e-3)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """MobileNetV2's weights as Keras publishes them, but random."""
    import keras

    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2_no_top.weights.h5"
    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(SIZE, SIZE, 3)
    )
    model.save_weights(path)
    return path, model


@pytest.mark.slow
def test_weights_of_a_file_answer_as_the_network_they_come_from(file, tmp_path):
    import keras

    path, source = file
    parts = backbones.get("mobilenet_v2").build(SIZE, weights=str(path), unfrozen_blocks=2)
    expected = source(PIXELS / 127.5 - 1).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(parts.whole(PIXELS).numpy(), expected, atol=1e-4)
    activations = parts.frozen(PIXELS).numpy()
    composed = parts.trainable(activations).numpy()
    np.testing.assert_allclose(composed, expected, atol=1e-4)
    served = Network(litert_export.to_litert(parts.whole))(PIXELS)
    np.testing.assert_allclose(served, expected, atol=1e-3)
    parts.whole.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(PIXELS).numpy(), expected, atol=1e-4)


@pytest.mark.slow
def test_another_networks_file_is_refused(file):
    with pytest.raises(
        UserError, match=r"no_top\.weights\.h5, which .* vgg16 cannot take: it holds no weights"
    ):
        backbones.get("vgg16").build(SIZE, weights=str(file[0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (URLError("no network"), r"fetch \S+notop\.h5 elsewhere.*model\.weights"),
        (
            TimeoutError("timed out"),
            r"cannot be fetched: timed out.*`notop`.*models.*model\.weights",
        ),
    ],
)
def test_weights_that_cannot_be_fetched_say_which_file_to_put_where(monkeypatch, error, told):
    from keras.src.utils import file_utils

    def refused(url, *_):
        raise error

    monkeypatch.setattr(file_utils, "urlretrieve", refused)

    with pytest.raises(UserError, match=told) as refusal:
        backbones.get("vgg19").build(SIZE)
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
def test_pictures_that_are_too_small_are_an_error():
    with pytest.raises(UserError, match="inception_v3 cannot be built for 32 px"):
        backbones.get("inception_v3").build(32, weights="none")


@pytest.mark.slow
def test_backbones_are_listed_without_a_framework_and_measured_when_asked(tmp_path):
    def animal(*arguments):
        code = "import sys; from pipeline.cli import main; main();" + (
            "assert '--measure' in sys.argv or 'tensorflow' not in sys.modules"
        )
        command = [sys.executable, "-c", code, "backbones", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    listed = animal().stdout
    assert all(name in listed for name in backbones.names())
    measured = animal("scratch_cnn", "--measure").stdout.splitlines()[1].split()
    assert measured[:5] == ["scratch_cnn", "96", "px", "0.4", "M"]
    assert float(measured[5]) > 0
    assert animal("scratch_cnn").stdout.splitlines()[1].split() == measured
