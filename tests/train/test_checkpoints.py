import shutil

import numpy as np
import pytest

from pipeline.networks import backbones
from pipeline.networks.backbones.backbone import Backbone
from pipeline.train import checkpoints, trainer
from train.test_trainer import SPECIES, load, model, train, weights


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def network(size):
    """Two small blocks, with all that has a state: batch normalisation, and chance."""
    from keras import Input, Model, layers

    x = pixels = Input((size, size, 3))
    for block in range(2):
        x = layers.Conv2D(8, 3, strides=2, name=f"conv{block}")(x)
        x = layers.BatchNormalization()(x)
        x = layers.SpatialDropout2D(0.2)(layers.ReLU()(x))
    return Model(pixels, layers.GlobalAveragePooling2D()(x))


def pretrained(network, weights):
    for layer in network.layers:
        rng = np.random.default_rng(0)
        layer.set_weights([rng.normal(0, 0.1, w.shape) ** 2 for w in layer.get_weights()])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A small network; and tiny epochs are on disk too."""
    monkeypatch.setattr(backbones, "get", lambda _: Backbone("small", 32, network, pretrained))
    monkeypatch.setattr(checkpoints, "_SECONDS", 0)


@pytest.fixture
def data(tmp_path, cache):
    shutil.rmtree(cache / "checkpoints", ignore_errors=True)
    return load(tmp_path, cache, [*SPECIES] * 20, [*SPECIES] * 6)


def killed(how, data, epoch):
    """Trains until an epoch ends, and dies before anything of it is on disk."""

    def die(number, _):
        if number == epoch:
            raise Killed

    with pytest.raises(Killed):
        trainer.fit(*how, data, die, trainer.checkpoint(*how, data))


def goes_on(how, data):
    """Trains on, and gives what came of it and which epochs were trained."""
    epochs = []
    checkpoint = trainer.checkpoint(*how, data)
    trained = trainer.fit(*how, data, lambda number, _: epochs.append(number), checkpoint)
    return trained, epochs


def same(left, right):
    for a, b in zip(weights(left), weights(right), strict=True):
        np.testing.assert_array_equal(a, b)
    columns = left.history.columns.drop(["seconds", "pictures_per_second"])
    assert left.history[columns].equals(right.history[columns])
    assert left.history["seconds"].is_monotonic_increasing
    assert left.stopped == right.stopped
    for layer in (*left.model.layers, *right.model.layers):
        assert getattr(layer, "optimizer", None) is None  # it would be saved, of one of them


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "epoch", "trained_on"),
    [
        ({"hidden": 8, "unfrozen_blocks": 1}, 2, [2, 3, 4, 5, 6, 7]),
        ({"unfrozen_blocks": 1}, 6, [6, 7]),
        ({"weights": "none"}, 3, [3]),
    ],
)
def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    data, changes, epoch, trained_on
):
    how = model(**changes), train(epochs=4)
    undisturbed = trainer.fit(*how, data)
    killed(how, data, epoch)
    resumed, epochs = goes_on(how, data)
    assert epochs == trained_on
    same(resumed, undisturbed)


@pytest.mark.slow
def test_heads_side_by_side_go_on_to_drop_what_an_undisturbed_training_drops(tmp_path, cache):
    data = load(tmp_path, cache, [*SPECIES] * 20, [*SPECIES] * 6, folds=3)
    how = model(hidden=8, dropout=0.5), train(epochs=4)
    undisturbed = trainer.fit(*how, data)
    killed(how, data, 2)
    resumed, epochs = goes_on(how, data)
    assert epochs == [2, 3]
    same(resumed, undisturbed)


@pytest.mark.slow
def test_early_stopping_goes_on_waiting_and_still_knows_the_best_weights(tmp_path, cache):
    data = load(tmp_path, cache, [*SPECIES] * 20, ["green", "red", "blue"] * 6)
    index = data.validation.shards.index
    index["species"] = np.roll(index["species"], 1)  # it contradicts what is learned
    how = model(), train(epochs=30, patience=3)
    undisturbed = trainer.fit(*how, data)
    last = len(undisturbed.history) - 1
    assert last < 29
    killed(how, data, last)  # at the end of the epoch that would have been the last
    resumed, epochs = goes_on(how, data)
    assert epochs == [last]
    same(resumed, undisturbed)
    again, epochs = goes_on(how, data)  # killed after training and before anything was saved
    assert epochs == []
    same(again, undisturbed)


@pytest.mark.slow
def test_other_photos_other_params_or_a_damaged_file_start_anew(data, tmp_path, cache):
    how = model(), train(epochs=2)
    kept = trainer.checkpoint(*how, data)
    kept.run_id = "run-1"
    trainer.fit(*how, data, checkpoint=kept)
    assert trainer.checkpoint(*how, data).run_id == "run-1"
    fewer = load(tmp_path / "fewer", cache, [*SPECIES] * 19, [*SPECIES] * 6)
    assert trainer.checkpoint(*how, fewer).run_id is None
    others = [
        (model(), train(epochs=3)),
        (model(), train(epochs=2, seed=1)),
        (model(hidden=8), train(epochs=2)),
        (model(unfrozen_blocks=1), train(epochs=2)),
    ]
    for other in others:
        assert trainer.checkpoint(*other, data).run_id is None, f"{other} goes on from {how}"
    (state,) = (cache / "checkpoints").glob("*/state.npz")
    for length in (-100, 0):
        state.write_bytes(state.read_bytes()[:length])
        assert goes_on(how, data)[1] == [0, 1]
    trainer.checkpoint(*how, data).remove()
    assert not state.parent.exists()
