import dataclasses
import gc
import re
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shard_files

from pipeline.augment import transforms
from pipeline.core import atomic, params
from pipeline.core.errors import UserError
from pipeline.networks import backbones, devices, feature_cache, heads, served_outputs
from pipeline.networks.backbones.backbone import Backbone
from pipeline.train import datasets, feature_store, trainer
from pipeline.train.epoch_log import TrainingDiverged
from pipeline.train.settings import NetworkSettings, TrainingSettings

ROOT = Path(__file__).parents[2]
SIZE = 32
SPECIES = ("blue", "green", "red")


def written(folder: Path, species: list[str], seed: int) -> pd.DataFrame:
    """Shards of noisy pictures whose colour tells the species."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 60, (len(species), SIZE, SIZE, 3), dtype=np.uint8)
    for picture, name in zip(pictures, species, strict=True):
        picture[..., {"red": 0, "green": 1, "blue": 2}.get(name, 0)] += 190
    names = [f"{folder.name}-{i:04d}" for i in range(len(species))]
    index = pd.DataFrame({"photo": names, "species": species, "copy": 0})
    shard_files.write(folder, index, pictures)
    return index.assign(group=index["photo"])


def load(
    folder: Path,
    cache: Path,
    training_species: list[str],
    validation_species: list[str],
    folds: int | None = None,
) -> datasets.TrainingData:
    trained = written(folder / "augmented", training_species, 0).assign(split="train")
    held = written(folder / "resized", validation_species, 1).assign(split="validation")
    table = pd.concat([trained, held], ignore_index=True)
    fold = pd.Series(pd.NA if folds is None else unequal(len(table), folds), table.index)
    atomic.write_table(table.assign(fold=fold.astype("Int64")), folder / "split.parquet")
    return opened(folder, cache)


def unequal(pictures: int, folds: int) -> np.ndarray:
    """A fold for each picture; the last fold has as many as all others and one more."""
    return np.minimum(np.arange(pictures) % (2 * folds - 1), folds - 1)


def network(size: int):
    """Two small blocks whose features, 144, tell colours and let noise be learned by heart."""
    from keras import Input, Model, layers

    x = pixels = Input((size, size, 3))
    x = layers.Rescaling(1 / 64, -2)(x)
    for block, channels in enumerate((8, 16)):
        x = layers.Conv2D(channels, 3, strides=2, activation="relu", name=f"conv{block}")(x)
        x = layers.BatchNormalization()(x)
    return Model(pixels, layers.Flatten()(layers.AveragePooling2D(2)(x)))


def pretrained(network, weights: str) -> None:
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if layer.name.startswith("conv"):
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(0, kernel[..., 0].size ** -0.5, kernel.shape), bias])


@pytest.fixture(scope="module", autouse=True)
def small():
    """Small networks by the names of larger ones, which take seconds to build."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("efficientnet_lite0", "efficientnet_lite1"):
            patch.setitem(backbones._REGISTRY, name, Backbone(name, 32, network, pretrained))
        yield


def opened(folder: Path, cache: Path) -> datasets.TrainingData:
    ranges = transforms.Ranges.of(params.load(ROOT / "params.yaml").augment)
    return datasets.TrainingData.load(
        folder / "augmented", folder / "resized", folder / "split.parquet", cache, ranges
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for all tests here: it goes by content, and exporting a network takes seconds."""
    return tmp_path_factory.mktemp("cache")


def usual_data(folder: Path, cache: Path) -> datasets.TrainingData:
    """Species in unequal numbers, the first of which is not the first of the alphabet."""
    species = ["red", "green", "blue", "blue", "green", "blue"]
    return load(folder, cache, species * 10, species * 3)


@pytest.fixture
def data(tmp_path, cache):
    return usual_data(tmp_path, cache)


def noise(
    folder: Path, cache: Path, folds: int | None = None, copies: int = 0
) -> datasets.TrainingData:
    """Pictures that tell nothing of their species, and can be learned by heart: whoever judges by
    what was learned from finds nearly all right, whoever does not some third.

    Some photos have copies that look the same, so positions of pictures and of photos differ.
    """
    rng = np.random.default_rng(7)
    names = np.array([*["red"] * 26, *["green"] * 20, *["blue"] * 14])
    coarse = rng.integers(0, 256, (90, 8, 8, 3), dtype=np.uint8)
    pictures = coarse.repeat(SIZE // 8, axis=1).repeat(SIZE // 8, axis=2)
    trained, held = rng.permutation(names), rng.permutation(names)[:30]
    photos = pd.DataFrame({"photo": [f"t{i:02}" for i in range(60)], "species": trained})
    index = pd.concat([photos.assign(copy=copy) for copy in range(copies + 1)])
    index = index[(index["copy"] == 0) | (index["photo"] < "t20")].sort_values(["photo", "copy"])
    index = index.reset_index(drop=True)
    of = index["photo"].str[1:].astype(int).to_numpy()
    shard_files.write(folder / "augmented", index, pictures[of])
    validation = pd.DataFrame({"photo": [f"v{i:02}" for i in range(30)], "species": held})
    shard_files.write(folder / "resized", validation.assign(copy=0), pictures[60:])
    parts = [photos.assign(split="train"), validation.assign(split="validation")]
    table = pd.concat(parts, ignore_index=True)
    fold = pd.Series(pd.NA if folds is None else unequal(90, folds), table.index).astype("Int64")
    atomic.write_table(table.assign(group=table["photo"], fold=fold), folder / "split.parquet")
    return opened(folder, cache)


def model(**changes) -> NetworkSettings:
    lines = {
        "backbone": "efficientnet_lite0",
        "weights": "imagenet",
        "unfrozen_blocks": 0,
        "hidden": 0,
        "dropout": 0.1,
    }
    return NetworkSettings(**lines | changes)


def train(**changes) -> TrainingSettings:
    lines = {
        "epochs": 6,
        "patience": 3,
        "batch_size": 16,
        "learning_rate": 0.01,
        "fine_tune_rate": 0.1,
        "warm_up": 1,
        "weight_decay": 0.0,
        "balance": "weights",
        "precision": "auto",
        "seed": 0,
    }
    return TrainingSettings(**lines | changes)


def weights(trained: trainer.Trained) -> list[np.ndarray]:
    return trained.model.get_weights()


@dataclasses.dataclass
class Fit:
    """What came of a training, and what happened meanwhile.

    Attributes:
        data: What it trained on.
        trained: Its result.
        epochs: What was reported as each epoch ended.
        inputs: What it trained on and was validated by, weakly, in the order of its phases.
        drawn: Rows whose copies were drawn.
    """

    data: datasets.TrainingData
    trained: trainer.Trained
    epochs: list[tuple]
    inputs: list[weakref.ref]
    drawn: list[np.ndarray]


def watched(how: tuple[NetworkSettings, TrainingSettings], data: datasets.TrainingData) -> Fit:
    """Trains, and writes down what happens."""
    fit_inputs, alter = datasets.TrainingData.fit_inputs, datasets.TrainingData.alter
    epochs, inputs, drawn = [], [], []

    def noted(*arguments, **named):
        given = fit_inputs(*arguments, **named)
        inputs.extend(weakref.ref(part) for part in (given.training, given.validation))
        return given

    def altered(self, photos, rows, rng):
        drawn.append(rows)
        return alter(self, photos, rows, rng)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.TrainingData, "fit_inputs", noted)
        patch.setattr(datasets.TrainingData, "alter", altered)
        trained = trainer.fit(*how, data, lambda *epoch: epochs.append(epoch))
    return Fit(data, trained, epochs, inputs, drawn)


@pytest.fixture(scope="module")
def usual(tmp_path_factory, cache):
    """A head on `data`: a training takes a second or two, however little it learns from."""
    data = usual_data(tmp_path_factory.mktemp("usual"), cache)
    return watched((model(), train(epochs=2)), data)


@pytest.fixture(scope="module")
def from_pixels(tmp_path_factory, cache):
    """A network without weights on `data`."""
    data = usual_data(tmp_path_factory.mktemp("from-pixels"), cache)
    return watched((model(backbone="scratch_cnn"), train(epochs=4)), data)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, cache):
    """A head on `data`, and then a block below it."""
    data = usual_data(tmp_path_factory.mktemp("tuned"), cache)
    return watched((model(unfrozen_blocks=1), train(epochs=2, fine_tune_rate=0.03)), data)


@pytest.mark.slow
def test_a_head_on_frozen_features_learns_and_the_whole_model_answers_like_it(data):
    trained = trainer.fit(model(), train(epochs=20), data)
    assert re.match(r".*; validation accuracy 1.0000 ± .*; \d+ s; features: ", str(trained))
    assert trained.labels == SPECIES
    assert trained.validation.accuracy == 1
    pictures = data.validation.take(np.arange(18))
    answers = trained.model(pictures).numpy()
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    score = trainer.Score.of(answers, data.targets(data.validation))
    assert score.log_loss == pytest.approx(trained.validation.log_loss, abs=1e-3)


def test_validation_photos_are_those_of_the_split_and_no_others(tmp_path, cache):
    species = [*SPECIES, "red", "red"] * 4
    written(tmp_path / "augmented", species, 0)
    table = written(tmp_path / "resized", species, 1)
    table["split"] = ["test", "train", "validation", "test", "validation"] * 4
    atomic.write_table(table.assign(fold=pd.NA), tmp_path / "split.parquet")
    data = opened(tmp_path, cache)
    expected = table.loc[table["split"] == "validation", "photo"]
    assert list(data.validation.shards.index["photo"].iloc[data.validation.positions]) == [
        *expected
    ], "it stops by photos of another split"


def test_what_training_sees_decides_the_digest(tmp_path, cache):
    def digest(species=("red", "blue", "green"), folds=None, pixel=0, copies=1.0):
        folder = tmp_path / f"{species} {folds} {pixel} {copies}"
        data = load(folder, cache, [*species] * 3, ["red", "blue"], folds)
        photos = data.validation.shards.take(np.arange(2))
        photos[1, 3, 5, 2] ^= pixel
        shard_files.write(folder / "resized", data.validation.shards.index, photos)
        data = opened(folder, cache)
        ranges = dataclasses.replace(data.ranges, rotation=copies)
        data.ranges = ranges
        return data.digest()

    digests = [
        digest(),
        digest(species=("red", "blue", "green", "green")),
        digest(folds=2),
        digest(folds=3),
        digest(pixel=1),
        digest(copies=2.0),
    ]
    assert len(set(digests)) == len(digests), "two inputs that differ share checkpoints and trials"
    assert digest() == digests[0]


@pytest.mark.slow
def test_of_two_networks_side_by_side_only_the_new_one_is_run(usual, monkeypatch):
    data = usual.data
    assert "of 78 were cached" in data.features.cached
    both = model(backbone="efficientnet_lite0+efficientnet_lite1")
    trained = trainer.fit(both, train(epochs=20), data)
    assert "of 156 were cached" in data.features.cached, "the features of a third network"
    answers = trained.model(data.validation.take(np.arange(18))).numpy()
    np.testing.assert_allclose(answers, np.stack(trained.held_out["probabilities"]), atol=1e-3)
    assert trained.validation.accuracy == trained.held_out["right"].mean() == 1

    name = "efficientnet_lite1"
    beside = backbones.towers(data.networks[both.backbone, both.weights].whole)
    assert data.networks[name, both.weights].whole is beside[1], "another network by its name"
    monkeypatch.setattr(Backbone, "build", None)  # it stands alone as it stood beside the other
    alone = trainer.fit(model(backbone=name), train(epochs=1), data)
    assert "of 156 were cached" in data.features.cached
    answers = alone.model(data.validation.take(np.arange(18))).numpy()
    np.testing.assert_allclose(answers, np.stack(alone.held_out["probabilities"]), atol=1e-3)


@pytest.mark.slow
def test_a_training_lets_go_of_what_it_learned_from(usual):
    gc.collect()
    assert [inputs() for inputs in usual.inputs] == [None, None]


@pytest.mark.slow
def test_a_gpu_lets_go_of_what_is_frozen_below_blocks(data, monkeypatch):
    fit_inputs, seen = datasets.TrainingData.fit_inputs, []

    def noted(self, frozen, folded):
        seen.append(weakref.ref(frozen))
        return fit_inputs(self, frozen, folded)

    monkeypatch.setattr(devices, "training_gpus", lambda: ["gpu:0"])
    monkeypatch.setattr(datasets.TrainingData, "fit_inputs", noted)
    trainer.fit(model(unfrozen_blocks=1), train(epochs=1, precision="float32"), data)
    assert len(seen) == 2
    gc.collect()
    assert seen[1]() is None


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [[], ["gpu:0"]])  # float16 works on a CPU, slowly
def test_when_time_is_up_training_ends_with_the_epoch(data, monkeypatch, gpus):
    monkeypatch.setattr(devices, "training_gpus", lambda: gpus)
    trained = trainer.fit(model(), train(), data, deadline=0.0)
    assert trained.stopped == "time was up; weights of epoch 1 kept"
    assert len(trained.history) == 1


@pytest.mark.slow
def test_the_same_inputs_give_the_same_weights_and_another_seed_others(data, usual):
    again = trainer.fit(model(), train(epochs=2), data)
    for left, right in zip(weights(usual.trained), weights(again), strict=True):
        np.testing.assert_array_equal(left, right)
    other = trainer.fit(model(), train(epochs=2, seed=1), data)
    assert not np.array_equal(weights(usual.trained)[-1], weights(other)[-1])
    kernels = [weights(trained)[-2].ravel() for trained in (usual.trained, other)]
    alike = np.corrcoef(kernels)[0, 1]
    assert alike < 0.5, "both start with the same weights, and see pictures in another order"


def test_features_to_validate_by_that_are_many_are_read_anew_in_each_epoch(data, monkeypatch):
    reads, trained, take = [], [], feature_store.Features.take
    monkeypatch.setattr(
        feature_store.Features, "take", lambda *of: reads.append(len(trained)) or take(*of)
    )
    for most in (feature_store.IN_MEMORY, 0):
        monkeypatch.setattr(feature_store, "IN_MEMORY", most)
        trained.append(trainer.fit(model(), train(epochs=3), data))
    assert reads.count(1) >= reads.count(0) + 2, "in the second epoch and the third"
    for left, right in zip(*map(weights, trained), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
@pytest.mark.usefixtures("usual")
def test_features_are_computed_once(data, monkeypatch):
    monkeypatch.setattr(feature_cache, "Network", None)  # computing again would call it
    trainer.fit(model(), train(epochs=1), data)


@pytest.mark.slow
def test_unfrozen_blocks_train_after_the_head_and_nothing_below_them_moves(usual, tuned):
    history = tuned.trained.history
    assert list(history["phase"].unique()) == ["head", "blocks"]
    assert history["epoch"].is_monotonic_increasing
    before = {layer.name: layer.get_weights() for layer in usual.trained.model.layers}
    moved = {
        layer.name
        for layer in tuned.trained.model.layers
        if any(
            not np.array_equal(left, right)
            for left, right in zip(before.get(layer.name, []), layer.get_weights(), strict=False)
        )
    }
    moved -= {"head"}
    assert moved
    assert all(name == "conv1" for name in moved)


@pytest.mark.slow
def test_blocks_train_at_the_fine_tuning_rate(tuned):
    peaks = tuned.trained.history.groupby("phase")["learning_rate"].max()
    assert peaks["blocks"] == pytest.approx(0.0003), "0.01 if the fine-tuning rate is ignored"
    assert peaks["head"] == pytest.approx(0.01)
    assert "features" not in tuned.trained.held_out, "those of the frozen network are others"


@pytest.mark.slow
def test_noise_is_learned_by_heart_and_no_head_is_judged_by_what_it_learned(tmp_path, cache):
    data = noise(tmp_path, cache, folds=3, copies=1)
    trained = trainer.fit(model(dropout=0.0), train(epochs=40, patience=40), data)
    learned = trained.history["accuracy"].max()
    assert learned > 0.75, "the noise is to be learned by heart, or a leak would not show"
    held = trained.held_out
    accuracy = trained.validation.accuracy
    assert accuracy < 0.5, "some 0.3, as by chance; 0.62 by the mean of heads that learned from it"
    assert trained.history["val_accuracy"].max() < 0.65, "training is stopped by what was learned"
    assert trained.validation.photos == 90, "120 with the copies"
    table = pd.read_parquet(tmp_path / "split.parquet").set_index("photo")
    assert list(held["species"]) == list(table.loc[held["photo"], "species"])
    assert list(held["split"]) == list(table.loc[held["photo"], "split"])
    best = [trained.labels[np.argmax(each)] for each in held["probabilities"]]
    np.testing.assert_array_equal(held["right"], held["species"] == best)


@pytest.mark.slow
def test_the_fold_of_a_picture_is_that_of_its_photo(tmp_path, cache):
    data = noise(tmp_path, cache, folds=3, copies=1)
    inputs = data.fit_inputs(backbones.get("efficientnet_lite0").build(SIZE).frozen, folded=True)
    fold = pd.read_parquet(tmp_path / "split.parquet").set_index("photo")["fold"]
    learned = [*data.training.shards.index["photo"], *data.validation.shards.index["photo"]]
    np.testing.assert_array_equal(inputs.training.fold, fold[learned])
    judged = inputs.index["photo"]
    assert not judged.duplicated().any() and len(judged) == 90
    np.testing.assert_array_equal(inputs.validation.fold, fold[judged], "of another photo")


@pytest.mark.slow
@pytest.mark.parametrize("folds", [None, 3])
def test_photos_with_views_are_judged_by_the_mean_over_them(folds, tmp_path, cache):
    """Every third photo of those held out has a second view."""
    data = noise(tmp_path, cache, folds=folds)
    assert not data.has_views
    for pictures in (data.training, data.validation):
        index = pictures.shards.index
        second = np.arange(len(index)) % 3 == 1
        index["view"] = second.astype(int)
        index["photo"] = index["photo"].where(~second, index["photo"].shift())
    split = pd.read_parquet(tmp_path / "split.parquet").set_index("photo")["fold"]
    if folds is not None:
        photos = [*data.training.shards.index["photo"], *data.validation.shards.index["photo"]]
        data.fold = split[photos].to_numpy(dtype=np.int64)
    assert data.has_views
    trained = trainer.fit(model(), train(), data)
    held = trained.held_out
    expected = data.validation.shards.index["photo"].unique().tolist()
    if folds is not None:
        expected = [*data.training.shards.index["photo"].unique(), *expected]
    assert held["photo"].tolist() == expected
    assert trained.validation.photos == len(expected)
    if folds is None:
        network = data.networks["efficientnet_lite0", "imagenet"].whole
        _, features = data.features.get(network)
        values = features.take(np.arange(len(data.validation.positions)))
        logits = np.asarray(trained.model.get_layer("head")(values))
        photo = data.validation.shards.index["photo"].to_numpy()
        means = pd.DataFrame(logits).groupby(photo, sort=False).mean().to_numpy()
        np.testing.assert_allclose(held["largest_logit"], means.max(axis=1), rtol=1e-4)


@pytest.mark.slow
def test_without_folds_validation_photos_are_not_learned(tmp_path, cache):
    how = model(dropout=0.0), train(epochs=40, patience=40)
    trained = trainer.fit(*how, noise(tmp_path, cache))
    assert trained.history["accuracy"].max() > 0.9, "or what it learned would not show"
    assert trained.validation.photos == 30
    assert trained.validation.accuracy < 0.65, "some 0.4 by chance; 1.0 if it learned from them"


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [0, 8])
def test_with_folds_every_picture_is_judged_by_a_head_that_did_not_learn_from_it(
    hidden, tmp_path, cache
):
    data = load(tmp_path, cache, [*SPECIES] * 20, [*SPECIES] * 6, folds=3)
    data.training.shards.index.loc[0, "species"] = "red"  # it is blue
    trained = trainer.fit(model(hidden=hidden), train(epochs=30), data)
    held = trained.held_out
    assert held["species"].iloc[0] == "red"
    red = held["probabilities"].iloc[0][SPECIES.index("red")]
    assert red < 0.1, "below 0.01 by the head that did not learn from it; 0.17 or more by all heads"
    assert trained.validation.photos == 78
    assert trained.validation.accuracy == pytest.approx(77 / 78)
    pictures = data.validation.take(np.arange(18))
    answers = trained.model(pictures).numpy()
    assert (answers.argmax(axis=1) == data.targets(data.validation)).all()
    served = served_outputs.answering(trained.model)(pictures)["features"]
    features = np.stack(held["features"][held["split"] == "validation"])
    np.testing.assert_allclose(features, served, atol=1e-3)


def test_the_merged_head_answers_with_the_mean_of_the_logits():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(5, 7)).astype(np.float32)
    for hidden in (0, 4):
        several = heads.build(7, 3, hidden, 0.1, count=2)
        several.set_weights([rng.normal(size=w.shape) for w in several.get_weights()])
        one = heads.merged(several, hidden, 0.1)
        mean = several(features).numpy().mean(axis=1)
        np.testing.assert_allclose(one(features).numpy(), mean, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_network_without_weights_trains_from_pixels(from_pixels):
    trained = from_pixels.trained
    assert set(trained.history["phase"]) == {"whole"}
    assert trained.history["loss"].iloc[-1] < trained.history["loss"].iloc[0]


def test_from_pixels_photos_are_seen_as_they_are_and_their_copies_are_drawn_anew(data):
    index, rows = data.training.shards.index, np.arange(60)
    index["copy"] = rows % 3  # each third picture is a photo, and two copies of it follow
    photos = data.fit_inputs(None, folded=False).training.inputs.take(rows)
    np.testing.assert_array_equal(photos, data.training.take(rows // 3 * 3))
    first, again, other = (
        data.alter(photos, rows, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    differs = (first != other).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(differs, rows % 3 > 0)
    np.testing.assert_array_equal(first[::3], photos[::3])


@pytest.mark.slow
def test_only_what_trains_from_pixels_draws_copies(data, usual, from_pixels):
    assert not usual.drawn
    assert from_pixels.drawn
    assert watched((model(unfrozen_blocks=2), train(epochs=1)), data).drawn


@pytest.mark.slow
def test_it_stops_when_validation_no_longer_improves_and_keeps_the_best_weights(tmp_path, cache):
    # Validation contradicts training, so it is best at the start.
    data = load(tmp_path, cache, [*SPECIES] * 20, ["green", "red", "blue"] * 6)
    trick = data.validation.shards.index
    trick["species"] = np.roll(trick["species"], 1)
    trained = trainer.fit(model(), train(epochs=30, patience=2), data)
    best = int(trained.history["val_loss"].idxmin())
    assert len(trained.history) == best + 3
    assert f"weights of epoch {best + 1} kept" in trained.stopped
    assert "no lower validation loss for 2 epochs" in trained.stopped
    losses = trained.history["val_loss"]
    assert losses.iloc[-1] > losses[best] * 1.02
    assert trained.validation.log_loss == pytest.approx(losses[best], rel=1e-3), (
        f"the weights of another epoch are kept; the last one's loss is {losses.iloc[-1]}"
    )
    answers = trained.model(data.validation.take(np.arange(18))).numpy()
    kept = trainer.Score.of(answers, data.targets(data.validation))
    assert kept.log_loss == pytest.approx(losses[best], rel=1e-2), "so does the network saved"


def test_dropout_is_for_training_alone():
    features = np.ones((64, 100), np.float32)
    for hidden, count in ((0, None), (8, None), (0, 3), (8, 3)):
        head = heads.build(100, 3, hidden, 0.5, count)
        answers, again = (np.asarray(head(features)) for _ in range(2))
        np.testing.assert_array_equal(answers, again)
        assert np.ptp(answers, axis=0).max() == 0, "alike pictures get alike answers"
        assert np.ptp(np.asarray(head(features, training=True)), axis=0).max() > 0.05


@pytest.mark.slow
def test_each_epoch_is_reported_as_it_ends(usual):
    seen = usual.epochs
    assert [number for number, _ in seen] == [0, 1]
    assert {"loss", "val_loss", "accuracy", "val_accuracy", "learning_rate"} <= set(seen[0][1])


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_a_clear_error(data):
    with pytest.raises(TrainingDiverged, match=r"lower train\.learning_rate"):
        trainer.fit(model(), train(learning_rate=1e38), data)


@pytest.mark.slow
def test_without_memory_for_a_batch_it_is_halved_and_learning_goes_on(
    data, usual, monkeypatch, capsys
):
    numbers = feature_store.Features.numbers

    def short_of_memory(rows_of, rows):
        if len(rows) > 18:
            raise MemoryError
        return numbers(rows_of, rows)

    monkeypatch.setattr(feature_store.Features, "numbers", short_of_memory)
    trained = trainer.fit(model(), train(batch_size=32, epochs=2), data)
    assert "no memory for batches of 32 pictures: anew with 16" in capsys.readouterr().out
    assert trained.training.batch_size == 16
    assert list(trained.history["batch_size"]) == [16, 16]
    np.testing.assert_array_equal(weights(trained)[-1], weights(usual.trained)[-1])


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [[], ["gpu:0"]])
def test_what_was_learned_before_memory_ran_out_stays(data, monkeypatch, gpus):
    import tensorflow as tf

    compiled, learned, found, learners = devices.compiled, [], [], []

    def compiling(trunk, *args):
        found.append(trunk.get_weights())
        learners.append(compiled(trunk, *args))
        return learners[-1]

    def run_out(number, _):
        if number == 2:
            learned.extend(learners[0].get_weights())
        if number == 3:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")

    monkeypatch.setattr(devices, "training_gpus", lambda: gpus)
    monkeypatch.setattr(devices, "compiled", compiling)
    trained = trainer.fit(model(), train(epochs=5), data, run_out)
    assert list(trained.history["batch_size"]) == [16] * 4 + [8] * 5
    assert list(trained.history["epoch"]) == list(range(9))
    for at_the_end, at_the_start in zip(learned, found[1], strict=True):
        np.testing.assert_array_equal(at_the_end, at_the_start)


@pytest.mark.slow
def test_no_memory_for_a_single_picture_says_what_to_do(data, monkeypatch):
    def none_at_all(*_):
        raise MemoryError

    monkeypatch.setattr(feature_store.Features, "numbers", none_at_all)
    with pytest.raises(UserError, match=r"one picture at a time; lower resize\.size"):
        trainer.fit(model(), train(batch_size=2), data)


def test_no_memory_for_all_features_says_what_to_do(data, monkeypatch):
    def none_at_all(*_):
        raise MemoryError

    monkeypatch.setattr(feature_cache, "extract", none_at_all)
    with pytest.raises(
        trainer.TrainingInfeasible, match=r"features of all pictures; lower augment\.copies"
    ):
        trainer.fit(model(), train(), data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trained_on", "judged_by"),
    [
        pytest.param(["a"] * 20 + ["b"], ["a", "b"], id="a species with one photo"),
        pytest.param(["a", "b"] * 9 + ["c"] * 9, ["a", "b"], id="a species without validation"),
        pytest.param([f"{i:03d}" for i in range(200)] * 2, ["007", "100"], id="200 species"),
    ],
)
def test_odd_collections_train(tmp_path, cache, trained_on, judged_by):
    data = load(tmp_path, cache, trained_on, judged_by)
    trained = trainer.fit(model(weights="none"), train(epochs=2), data)
    assert trained.labels == tuple(sorted(set(trained_on)))
    assert np.isfinite(trained.history[["loss", "val_loss"]]).all(axis=None)
    assert trained.model.output_shape == (None, len(trained.labels))
    assert trained.validation.photos == 2


@pytest.mark.slow
def test_balance_lets_a_rare_species_count(tmp_path, cache):
    data = load(tmp_path, cache, ["blue"] * 60 + ["red"] * 4, ["blue", "red"] * 6)
    pictures = data.validation.take(np.arange(12))

    def red(balance):
        how = train(balance=balance, epochs=1, learning_rate=1e-3)
        return trainer.fit(model(), how, data).model(pictures).numpy()[:, 1].mean()

    assert red("weights") > red("none")


def test_a_species_without_training_photos_is_named(tmp_path, cache):
    with pytest.raises(UserError, match="no training photos of red"):
        load(tmp_path, cache, ["blue", "green"], ["blue", "red"])


@pytest.mark.slow
def test_what_is_saved_is_whole_and_loads(usual, tmp_path):
    import json

    import keras

    trained = usual.trained
    trained.save(tmp_path / "out", "run-1", {"more.txt": "more"})
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["run_id"] == "run-1"
    assert run["labels"] == list(SPECIES)
    assert (tmp_path / "out/more.txt").read_text() == "more"
    loaded = keras.saving.load_model(tmp_path / "out/model.keras")
    for left, right in zip(loaded.get_weights(), weights(trained), strict=True):
        np.testing.assert_array_equal(left, right)
