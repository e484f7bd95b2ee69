"""Tests of heads side by side and how they drop inputs."""

import numpy as np
import pytest

from pipeline.networks import heads, keras_setup

keras = keras_setup.keras()
RATES = (0.2, 0.5, 0.703)


def dropouts(head):
    return [layer for layer in head.layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("shape", [(24_997, 41), (41, 2, 12_333)])  # neither a multiple of 4
def test_heads_side_by_side_drop_the_share_asked_for_and_scale_what_is_kept(rate, shape):
    keras_setup.seed(0)
    layer = dropouts(heads.build(4, 2, 0, rate, 3))[0]
    # The rate is rounded to 1/256, and what is kept is scaled by the share that is kept.
    drops = round(rate * 256) / 256
    values = np.linspace(1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    out = np.asarray(layer(values, training=True))
    kept = out != 0
    np.testing.assert_allclose(out[kept], (values / (1 - drops))[kept], rtol=1e-6)
    error = np.sqrt(rate * (1 - rate) / values.size)
    assert abs(1 - kept.mean() - drops) < 4 * error
    by_byte = [kept.reshape(-1)[first::4] for first in range(4)]
    for one in by_byte:
        assert abs(1 - one.mean() - drops) < 8 * error, "each byte of a number decides alike"
    for other in by_byte[1:]:
        both = np.corrcoef(by_byte[0][: len(other)], other[: len(by_byte[0])])[0, 1]
        assert abs(both) < 4 / np.sqrt(len(other)), "and by itself"


def test_each_step_drops_others_and_a_seed_the_same():
    values = np.ones((50, 40), np.float32)
    drawn = []
    for _ in range(2):
        keras_setup.seed(3)
        layer = dropouts(heads.build(40, 2, 0, 0.5, 3))[0]
        drawn.append([np.asarray(layer(values, training=True)) for _ in range(2)])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    changed = float(np.mean(drawn[0][0] != drawn[0][1]))
    assert 0.4 < changed < 0.6, "the next step drops others"


def test_no_rate_drops_nothing_and_the_highest_not_everything():
    keras_setup.seed(0)
    values = np.ones((500, 40), np.float32)
    for rate, share in ((0.0, 0.0), (0.999, 255 / 256)):
        layer = dropouts(heads.build(40, 2, 0, rate, 3))[0]
        dropped = np.mean(np.asarray(layer(values, training=True)) == 0)
        assert dropped == pytest.approx(share, abs=0.003)


@pytest.mark.parametrize("hidden", [0, 5])
def test_what_is_served_is_made_of_keras_own_layers(hidden):
    side_by_side = heads.build(7, 3, hidden, 0.5, 2)
    assert len(dropouts(side_by_side)) == 1 + bool(hidden)
    for head in (heads.build(7, 3, hidden, 0.5), heads.merged(side_by_side, hidden, 0.5)):
        modules = {type(one).__module__.split(".")[0] for one in head.layers}
        assert modules == {"keras"}
        again = keras.Sequential.from_config(head.get_config())  # without custom objects
        assert [type(one) for one in again.layers] == [type(one) for one in head.layers]
