import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference.litert import Network
from pipeline.networks import backbones, litert_export

SIZE = 64
BOTH = "efficientnet_lite0+efficientnet_lite2"
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.slow
def test_features_of_both_stand_side_by_side():
    both = backbones.get(BOTH).build(SIZE)
    each = [backbones.get(name).build(SIZE).whole for name in BOTH.split("+")]
    assert both.frozen is both.whole and both.whole.trainable_weights == []
    expected = np.hstack([network(PIXELS).numpy() for network in each])
    np.testing.assert_allclose(both.whole(PIXELS).numpy(), expected, atol=1e-5)


@pytest.mark.slow
def test_a_tower_is_the_network_that_stands_alone_so_that_its_features_are_known():
    alone = backbones.get("efficientnet_lite2").build(SIZE).frozen
    tower = backbones.towers(backbones.get(BOTH).build(SIZE).frozen)[1]
    assert tower.to_json() == alone.to_json()


def test_both_are_pretrained_on_pictures_of_the_larger_one():
    assert backbones.get(BOTH).size == 260
    assert backbones.get(BOTH).weights_at_hand()


@pytest.mark.slow
def test_it_exports_saves_and_loads_in_safe_mode(tmp_path):
    import keras

    whole = backbones.get(BOTH).build(SIZE).whole
    whole.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected = whole(PIXELS).numpy()
    np.testing.assert_allclose(loaded(PIXELS).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(Network(litert_export.to_litert(whole))(PIXELS), expected, atol=1e-3)


@pytest.mark.parametrize(
    "name, said",
    [
        ("efficientnet_lite0+efficientnet_lite0", "name each network once"),
        ("efficientnet_lite0+scratch_cnn", "scratch_cnn has no pretrained weights"),
        ("efficientnet_lite0+", "must be one of"),
    ],
)
def test_what_cannot_stand_side_by_side_is_said(name, said):
    with pytest.raises(UserError, match=said):
        backbones.get(name)


@pytest.mark.slow
def test_there_is_no_block_to_unfreeze_and_no_file_for_both():
    with pytest.raises(UserError, match="takes 0 to 0"):
        backbones.get(BOTH).check(SIZE, 1)
    with pytest.raises(UserError, match="several networks"):
        backbones.get(BOTH).build(SIZE, weights="weights.h5")
