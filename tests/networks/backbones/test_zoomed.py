import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference.litert import Network
from pipeline.networks import backbones, litert_export

SIZE = 64
NAME = "efficientnet_lite0@1.6@2"
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def parts():
    return backbones.get(NAME).build(SIZE)


@pytest.mark.slow
def test_what_is_seen_of_the_picture_and_of_its_middle_is_averaged(parts):
    import keras

    look = backbones.get("efficientnet_lite0").build(SIZE).whole
    middles = [PIXELS, PIXELS[:, 12:52, 12:52], PIXELS[:, 16:48, 16:48]]
    looks = [keras.ops.image.resize(middle.astype("float32"), (SIZE, SIZE)) for middle in middles]
    expected = np.mean([look.predict_on_batch(pictures) for pictures in looks], axis=0)
    np.testing.assert_allclose(parts.whole.predict_on_batch(PIXELS), expected, atol=1e-4)
    assert parts.frozen is parts.whole and parts.whole.trainable_weights == []
    assert parts.whole.count_params() == look.count_params()


@pytest.mark.slow
def test_its_towers_are_the_looks_and_the_first_is_the_network_alone(parts):
    first, *others = backbones.towers(parts.frozen)
    assert first.to_json() == backbones.get("efficientnet_lite0").build(SIZE).frozen.to_json()
    assert [backbones.towers(look) for look in (first, *others)] == [[]] * 3
    looks = [look.predict_on_batch(PIXELS) for look in (first, *others)]
    expected = parts.whole.predict_on_batch(PIXELS)
    np.testing.assert_allclose(parts.whole.layers[-1](looks), expected, atol=1e-5)


@pytest.mark.slow
def test_towers_are_called_the_same_each_time_so_that_their_export_is_known(parts):
    again = backbones.towers(backbones.get(NAME).build(SIZE).frozen)
    assert [tower.to_json() for tower in backbones.towers(parts.frozen)] == [
        tower.to_json() for tower in again
    ]


@pytest.mark.slow
def test_it_exports_saves_and_loads_in_safe_mode(parts, tmp_path):
    import keras

    expected = parts.whole.predict_on_batch(PIXELS)
    served = litert_export.to_litert(parts.whole)
    np.testing.assert_allclose(Network(served)(PIXELS), expected, atol=1e-3)
    look = backbones.towers(parts.whole)[0]
    assert len(served) < 1.1 * len(litert_export.to_litert(look))
    assert Network(litert_export.to_litert(parts.whole, PIXELS))(PIXELS).shape == expected.shape
    parts.whole.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(PIXELS), expected, atol=1e-5)
    assert loaded.count_params() == parts.whole.count_params()


@pytest.mark.slow
def test_two_that_look_closer_stand_side_by_side():
    names = "efficientnet_lite0@1.6", "efficientnet_lite1@1.6"
    both = backbones.get("+".join(names)).build(SIZE).whole
    expected = np.hstack(
        [backbones.get(n).build(SIZE).whole.predict_on_batch(PIXELS) for n in names]
    )
    np.testing.assert_allclose(both.predict_on_batch(PIXELS), expected, atol=1e-5)
    assert [len(backbones.towers(tower)) for tower in backbones.towers(both)] == [2, 2]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("efficientnet_lite0@", "above 1 and at most 4"),
        ("efficientnet_lite0@1", "above 1 and at most 4"),
        ("efficientnet_lite0@nan", "above 1 and at most 4"),
        ("efficientnet_lite0@near", "above 1 and at most 4"),
        ("scratch_cnn@1.3", "scratch_cnn has no pretrained weights"),
        ("resnet@1.3", "must be one of"),
    ],
)
def test_what_cannot_look_closer_is_said(name, said):
    with pytest.raises(UserError, match=said):
        backbones.get(name)


def test_there_is_no_block_to_unfreeze():
    with pytest.raises(UserError, match="takes 0 to 0"):
        backbones.get(NAME).check(SIZE, 1)
