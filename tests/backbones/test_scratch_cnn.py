import numpy as np
import pytest

from pipeline.backbones.scratch_cnn import SCRATCH_CNN


@pytest.mark.parametrize("size, cells", [(96, 6), (224, 14), (65, 4)])
def test_any_size_gives_a_feature_map(size, cells):
    whole = SCRATCH_CNN.build(size).whole
    assert whole.layers[-1].input.shape == (None, cells, cells, 256)
    assert whole.output.shape == (None, 256)


def test_it_learns_to_tell_two_textures():
    import keras

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(64) % 2
    pixels[labels == 1, :, ::2] //= 4  # stripes
    classifier = keras.Sequential([SCRATCH_CNN.build(32).trainable, keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(1e-2), loss, jit_compile=False)
    history = classifier.fit(pixels, labels, batch_size=16, epochs=5, verbose=0).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]


def test_a_saved_network_loads_in_safe_mode(tmp_path):
    import keras

    whole = SCRATCH_CNN.build(64).whole
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    whole.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(
        loaded.predict_on_batch(pixels), whole.predict_on_batch(pixels), atol=1e-6
    )
