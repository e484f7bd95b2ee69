import functools
import subprocess
import sys

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.networks import backbones

SIZE = 64
SMALL = [
    "efficientnet_lite0",
    "efficientnet_lite2",
    "scratch_cnn",
    "scratch_resnet",
    "mobilenet_v2",
    "vgg16",
]
build = functools.cache(lambda name, **how: backbones.get(name).build(SIZE, **how))  # takes seconds
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def test_importing_the_registry_loads_no_framework():
    code = (
        "import sys; from pipeline.networks import backbones; backbones.get('efficientnet_lite0');"
        "print(*{'keras', 'tensorflow', 'torch'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_name_leads_to_its_backbone():
    assert set(backbones.names()) >= {"efficientnet_lite0", "scratch_cnn", "scratch_resnet"}
    assert all(backbones.get(name).name == name for name in backbones.names())


def test_auto_is_one_network_where_photos_have_views_and_two_elsewhere():
    assert backbones.chosen("auto") == "efficientnet_lite0+efficientnet_lite2"
    assert backbones.chosen("auto", views=True) == "efficientnet_lite2"
    assert backbones.chosen("vgg16", views=True) == backbones.chosen("vgg16") == "vgg16"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"'resnet'.*efficientnet_lite0, .*scratch_cnn"):
        backbones.get("resnet")


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_last_layer_pools(name):
    import keras

    whole = build(name, weights="none", unfrozen_blocks=2).whole
    assert isinstance(whole.layers[-1], keras.layers.GlobalAveragePooling2D)


@pytest.mark.slow
@pytest.mark.parametrize("unfrozen_blocks, convolutions", [(1, 1), (4, 4), (5, 7), (7, 13)])
def test_the_parts_composed_are_the_whole(unfrozen_blocks, convolutions):
    parts = build("efficientnet_lite0", unfrozen_blocks=unfrozen_blocks)
    activations = parts.frozen(PIXELS).numpy()
    np.testing.assert_allclose(
        parts.trainable(activations).numpy(),
        parts.whole(PIXELS).numpy(),
        atol=1e-5,
    )
    assert parts.frozen.trainable_weights == []
    # the head's convolution, the last block's three, then residual blocks of three each
    assert len(parts.trainable.trainable_weights) == convolutions
    assert len(parts.whole.trainable_weights) == convolutions


@pytest.mark.slow
def test_with_all_blocks_unfrozen_all_but_batch_normalisation_is_trained():
    parts = backbones.get("efficientnet_lite0").build(SIZE, unfrozen_blocks=31)
    assert parts.frozen is None and parts.trainable is parts.whole
    convolutions = [layer for layer in parts.whole.layers if "Conv" in type(layer).__name__]
    assert len(parts.whole.trainable_weights) == len(convolutions)


@pytest.mark.slow
def test_each_block_of_a_network_with_operations_that_are_no_layers_can_be_the_first():
    import keras

    network = backbones.get("convnext_tiny").network(SIZE)
    starts = backbones.blocks(network)
    assert len(starts) == 22
    for start in starts:
        keras.Model(start, network.output)


def test_a_block_is_what_one_tensor_enters():
    import keras

    pixels = x = keras.Input((8, 8, 3))
    x = first = keras.layers.Rescaling(1 / 255)(x)
    x = second = keras.layers.Conv2D(4, 3, padding="same")(x)
    left, right = (keras.layers.Conv2D(4, 3, padding="same")(x) for _ in range(2))
    x = keras.layers.Add()([left, right, x])
    x = third = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(4, 1)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    starts = backbones.blocks(keras.Model(pixels, x))
    assert [id(start) for start in starts] == [id(first), id(second), id(third)]


def test_with_no_unfrozen_block_all_is_frozen():
    whole, frozen, trainable = backbones.get("efficientnet_lite0").build(SIZE)
    assert frozen is whole and trainable is None
    assert whole.trainable_weights == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["efficientnet_lite0", "scratch_cnn", "scratch_resnet", "mobilenet_v2"]
)
def test_random_weights_are_all_trained(name):
    parts = build(name, weights="none", unfrozen_blocks=2)
    assert parts.frozen is None and parts.trainable is parts.whole
    statistics = 2 * sum("BatchNorm" in type(layer).__name__ for layer in parts.whole.layers)
    assert len(parts.whole.non_trainable_weights) == statistics


def test_a_network_without_pretrained_weights_starts_from_random_ones():
    parts = backbones.get("scratch_cnn").build(SIZE)
    assert parts.frozen is None and parts.trainable is parts.whole


@pytest.mark.parametrize("unfrozen_blocks", [-1, 52])
def test_more_blocks_than_there_are_is_an_error(unfrozen_blocks):
    with pytest.raises(UserError, match="takes 0 to"):
        backbones.get("efficientnet_lite0").build(SIZE, unfrozen_blocks=unfrozen_blocks)


@pytest.mark.slow
def test_unfrozen_batch_normalisation_stays_that_of_pretraining_in_batches_of_any_size():
    parts = build("efficientnet_lite0", unfrozen_blocks=4)
    activations = parts.frozen(PIXELS).numpy()
    before = parts.trainable.get_weights()
    alone, together = (parts.trainable(activations[:n], training=True) for n in (1, 2))
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)
    for left, right in zip(before, parts.trainable.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
def test_training_on_cached_activations_trains_the_whole_network(tmp_path):
    import keras

    parts = backbones.get("efficientnet_lite0").build(SIZE, unfrozen_blocks=1)
    before = parts.whole(PIXELS).numpy()
    stem = parts.whole.get_layer("conv_stem").get_weights()
    activations = parts.frozen(PIXELS).numpy()

    head = keras.Sequential([keras.layers.Dense(2)])
    tuned = keras.Sequential([parts.trainable, head])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    tuned.compile("adam", loss, jit_compile=False)
    tuned.fit(activations, np.array([0, 1]), epochs=2, verbose=0)

    classifier = keras.Model(parts.whole.input, head(parts.whole.output))
    logits = classifier(PIXELS).numpy()
    np.testing.assert_allclose(logits, tuned(activations).numpy(), atol=1e-5)
    assert not np.allclose(parts.whole(PIXELS).numpy(), before, atol=1e-3)
    np.testing.assert_array_equal(parts.whole.get_layer("conv_stem").get_weights(), stem)

    classifier.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(PIXELS).numpy(), logits, atol=1e-5)
