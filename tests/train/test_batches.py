import numpy as np
import pytest
import scipy.special

from pipeline.networks import devices, heads, keras_setup
from pipeline.train import batches as batching
from pipeline.train import early_stopping, feature_store, schedules
from train.test_trainer import train

TARGETS = np.repeat([0, 1, 2], [80, 15, 5])


class Rows:
    """Inputs that tell which row they are of."""

    def __init__(self, *shape: int):
        self.shape = shape

    def take(self, rows: np.ndarray) -> np.ndarray:
        return np.broadcast_to(rows.reshape(-1, *[1] * len(self.shape)), (len(rows), *self.shape))


def examples(*shape: int, fold: np.ndarray | None = None) -> batching.Examples:
    return batching.Examples(Rows(*shape), TARGETS, 3, fold)


def drawn(epoch: int, shape: tuple[int, ...] = (1,), **changes) -> list[tuple]:
    how = train(batch_size=32, **changes)
    batches = batching.TrainingBatches(examples(*shape), how, first_epoch=epoch)
    return [batches[number] for number in range(len(batches))]


def test_each_picture_is_shown_once_an_epoch_and_counts_alike_without_balance():
    rows, _, weights = map(np.concatenate, zip(*drawn(0, balance="none"), strict=True))
    np.testing.assert_array_equal(np.sort(rows[:, 0]), np.arange(100))
    assert (weights == 1).all()


def test_weights_let_species_count_alike_and_pictures_one_on_average():
    weights = batching.weights(TARGETS, "weights")
    np.testing.assert_allclose(np.bincount(TARGETS, weights), 100 / 3, rtol=1e-6)


@pytest.mark.parametrize("shape", [(8,), (6, 6, 3)])
def test_a_batch_is_a_function_of_seed_epoch_and_number(shape):
    whole = drawn(3, shape)
    batches = batching.TrainingBatches(examples(*shape), train(batch_size=32), first_epoch=1)
    for number in (3, 1):  # in any order, as a resumed training or a second process would
        for left, right in zip(whole[number], batches[2 * len(batches) + number], strict=True):
            np.testing.assert_array_equal(left, right)
    for other in (drawn(2, shape), drawn(3, shape, seed=1)):
        assert not np.array_equal(whole[0][0], other[0][0])


def test_a_batch_is_altered_by_the_chance_of_seed_epoch_and_number():
    def seen(epoch, number):
        def alter(pictures, rows, rng):
            np.testing.assert_array_equal(pictures[:, 0], rows)
            return pictures + rng.random(pictures.shape)

        batches = batching.TrainingBatches(
            examples(4), train(batch_size=32), alter=alter, first_epoch=epoch
        )
        return batches[number][0]

    np.testing.assert_array_equal(seen(3, 1), seen(3, 1))
    assert not np.array_equal(seen(3, 1), seen(3, 0)) and not np.array_equal(seen(3, 1), seen(2, 1))


def test_a_picture_keeps_its_species_and_weight_whatever_the_order():
    for number, (rows, wanted, weight) in enumerate(drawn(2, balance="weights")):
        species = TARGETS[rows[:, 0]]
        np.testing.assert_array_equal(wanted.argmax(axis=1), species, f"batch {number}")
        np.testing.assert_allclose(weight, np.array([100 / 240, 100 / 45, 100 / 15])[species])


def test_each_epoch_has_an_order_of_its_own_and_so_has_each_seed():
    epochs = [drawn(0), drawn(1), drawn(0, seed=1)]
    orders = [np.concatenate([inputs[:, 0] for inputs, *_ in batches]) for batches in epochs]
    for left, right in ((0, 1), (0, 2), (1, 2)):
        assert (orders[left] != orders[right]).any(), "two epochs show the same order"


def test_a_head_learns_from_all_folds_but_its_own_and_is_judged_by_its_own():
    fold = np.repeat([0, 1, 2], [60, 30, 10])
    fold = np.random.default_rng(3).permutation(fold)
    of_folds, how = examples(1, fold=fold), train(balance="none", batch_size=32)
    validation, training = (
        batching.ValidationBatches(of_folds, 32),
        batching.TrainingBatches(of_folds, how),
    )
    for batches in (validation, training):
        each = [batches[number] for number in range(len(batches))]
        rows, targets, weights = map(np.concatenate, zip(*each, strict=True))
        assert targets.shape[1:] == (3, 3) and weights.shape[1:] == (3,)
        counted = weights > 0
        own = fold[rows[:, 0]][:, None] == np.arange(3)
        if batches is validation:
            np.testing.assert_array_equal(counted.sum(axis=0), [60, 30, 10])
            assert not (counted & ~own).any(), "a head is judged by what it learned from"
        else:
            np.testing.assert_array_equal(counted, ~own, "a head learns from what it is judged by")
            np.testing.assert_allclose(weights.mean(axis=0), 1.5 * np.array([0.4, 0.7, 0.9]))


def test_what_is_judged_stands_in_order_in_batches_of_one_size():
    batches = batching.ValidationBatches(examples(1), 48)
    each = [batches[number] for number in range(len(batches))]
    rows, targets, weights = map(np.concatenate, zip(*each, strict=True))
    assert [len(weights) for *_, weights in each] == [34, 34, 34]
    np.testing.assert_array_equal(rows[:100, 0], np.arange(100))
    np.testing.assert_array_equal(targets.argmax(axis=1)[:100], TARGETS)
    np.testing.assert_allclose(weights, [1.02] * 100 + [0] * 2)  # so a batch's mean counts as much


@pytest.mark.parametrize("size", [48, 1000])
@pytest.mark.parametrize("folds", [1, 3])
def test_judged_in_batches_a_network_is_as_good_as_it_is(size, folds):
    keras_setup.seed(0)
    keras, rng = keras_setup.keras(), np.random.default_rng(0)
    inputs = rng.standard_normal((100, 8), dtype=np.float32)
    fold = None if folds == 1 else rng.integers(0, folds, 100)
    network = heads.build(8, 3, 0, 0.1, None if fold is None else folds)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    devices.compiled(network, "float32", keras.optimizers.SGD, loss)
    of = batching.Examples(feature_store.Features((inputs,)), TARGETS, 3, fold)
    checks = batching.ValidationBatches(of, size)
    logits = keras.ops.convert_to_numpy(network(inputs))
    logits = logits if fold is None else logits[np.arange(100), fold]
    lost = scipy.special.logsumexp(logits, axis=1) - logits[np.arange(100), TARGETS]
    found = early_stopping.validate(network, checks)
    assert found["val_loss"] == pytest.approx(lost.mean(), rel=1e-5)
    assert found["val_accuracy"] == pytest.approx((logits.argmax(axis=1) == TARGETS).mean())


def test_devices_get_as_many_pictures_of_each_batch():
    batches = batching.TrainingBatches(
        examples(1), train(balance="none", batch_size=32), num_devices=3
    )
    rows = [batches[number][0][:, 0] for number in range(len(batches))]
    assert [len(batch) for batch in rows] == [33, 33, 33, 3]
    shown = np.concatenate(rows)
    np.testing.assert_array_equal(np.sort(shown[:100]), range(100))
    np.testing.assert_array_equal(shown[100:], shown[:2])


@pytest.mark.parametrize("warm_up", [0, 1, 3])
def test_the_rate_rises_from_a_tenth_to_its_peak_and_falls_along_a_cosine_to_nothing(warm_up):
    schedule = schedules.warm_up_cosine(0.01, 8 * 5, warm_up * 5)
    rates = [float(schedule(np.int64(step))) for step in range(45)]
    rising, last = warm_up * 5, 40
    expected = [0.001 + 0.009 * step / rising for step in range(rising)]
    angles = np.linspace(0, np.pi, last - rising + 1)
    expected += [0.005 + 0.005 * np.cos(angle) for angle in angles] + [0] * 4
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-8)
