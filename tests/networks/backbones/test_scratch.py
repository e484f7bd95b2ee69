import numpy as np
import pytest

from pipeline.networks.backbones.scratch_cnn import SCRATCH_CNN
from pipeline.networks.backbones.scratch_resnet import SCRATCH_RESNET

SCRATCH = pytest.mark.parametrize(
    "backbone", [SCRATCH_CNN, SCRATCH_RESNET], ids=lambda backbone: backbone.name
)


@pytest.mark.parametrize(
    "backbone, size, cells",
    [
        (SCRATCH_CNN, 96, 6),
        (SCRATCH_CNN, 224, 14),
        (SCRATCH_CNN, 65, 4),
        (SCRATCH_RESNET, 96, 6),
        (SCRATCH_RESNET, 65, 5),
        (SCRATCH_RESNET, 224, 5),
        (SCRATCH_RESNET, 1024, 4),
    ],
)
def test_any_size_gives_a_feature_map(backbone, size, cells):
    whole = backbone.build(size).whole
    assert whole.layers[-1].input.shape == (None, cells, cells, 256)
    assert whole.output.shape == (None, 256)


@SCRATCH
@pytest.mark.slow
def test_it_learns_to_tell_two_textures(backbone):
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(64) % 2
    pixels[labels == 1, :, ::2] //= 4  # stripes
    classifier = keras.Sequential([backbone.build(32).trainable, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(1e-2), loss, jit_compile=False)
    history = classifier.fit(pixels, labels, batch_size=16, epochs=5, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]


@pytest.mark.slow
@SCRATCH
def test_a_saved_network_loads_in_safe_mode(backbone, tmp_path):
    import keras

    whole = backbone.build(64).whole
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    whole.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(pixels).numpy(), whole(pixels).numpy(), atol=1e-6)


@pytest.mark.slow
def test_a_residual_network_sees_large_pictures_smaller_and_starts_as_its_shortcuts():
    import keras

    large, small = SCRATCH_RESNET.network(192), SCRATCH_RESNET.network(64)
    small.set_weights(large.get_weights())
    pixels = np.random.default_rng(0).random((1, 64, 64, 3), dtype=np.float32) * 255
    threefold = pixels.repeat(3, axis=1).repeat(3, axis=2)
    seen = small(pixels).numpy()
    np.testing.assert_allclose(large(threefold).numpy(), seen, atol=1e-4)
    shortcuts = keras.Model(small.input, small.get_layer("blocks.3.shortcut.bn").output)
    expected = shortcuts(pixels).numpy().clip(0).mean(axis=(1, 2))
    np.testing.assert_allclose(seen, expected, atol=1e-5)
