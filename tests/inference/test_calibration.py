import numpy as np
import pytest

from pipeline.evaluate import calibration_fit
from pipeline.evaluate.calibration_fit import COVERAGE
from pipeline.inference.calibration import Calibration
from pipeline.train.metrics import Score


def answers(n: int, sharpness: float, seed: int = 0, species: int = 5):
    """Probabilities whose logits were multiplied by `sharpness` after the truth was drawn."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(n, species))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (true.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    sharp = np.exp(logits * sharpness)
    return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32), targets


@pytest.mark.parametrize("sharpness", [0.5, 1, 3])
def test_the_temperature_undoes_what_made_answers_too_sure_or_unsure(sharpness):
    probabilities, targets = answers(20_000, sharpness)
    assert calibration_fit.fit(probabilities, targets).temperature == pytest.approx(
        sharpness, rel=0.05
    )


def test_calibrated_answers_keep_their_order_and_sum_to_one():
    probabilities, targets = answers(500, 3)
    calibrated = calibration_fit.fit(probabilities, targets).apply(probabilities)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    np.testing.assert_array_equal(calibrated.argsort(axis=1), probabilities.argsort(axis=1))
    assert Score.of(calibrated, targets).log_loss < Score.of(probabilities, targets).log_loss - 0.05


def test_a_temperature_is_what_logits_are_divided_by():
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.25, 0.0]])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    halved = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(Calibration(2.0, 0, 0).apply(probabilities), halved)


def test_a_prediction_set_is_of_all_that_are_probable_enough():
    sets = Calibration(1.0, 0, 0.3).sets(np.array([[0.6, 0.3, 0.1], [0.29, 0.29, 0.21]]))
    np.testing.assert_array_equal(sets, [[True, True, False], [True, True, False]])
    assert Calibration(1.0, 0, 0.3).sets(np.array([0.25, 0.2, 0.1])).tolist() == [1, 0, 0]


def test_no_temperature_is_no_change():
    probabilities, _ = answers(10, 1)
    np.testing.assert_allclose(Calibration(1.0, 0, 0).apply(probabilities), probabilities, 1e-6)


def test_one_answer_is_calibrated_as_it_is_among_others():
    probabilities, targets = answers(100, 2)
    calibration = calibration_fit.fit(probabilities, targets)
    alone = np.stack([calibration.apply(row) for row in probabilities])
    np.testing.assert_array_equal(alone, calibration.apply(probabilities))


def test_where_all_answers_are_right_none_becomes_certain():
    probabilities = np.tile(np.float32([0.6, 0.3, 0.1]), (50, 1))
    calibrated = calibration_fit.fit(probabilities, np.zeros(50, int)).apply(probabilities[0])
    assert 0.9 < calibrated[0] < 0.999


def test_certain_and_impossible_answers_are_no_numerical_problem():
    probabilities = np.float32([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    calibration = calibration_fit.fit(probabilities, np.array([0, 1, 2]))
    assert np.isfinite(calibration.apply(probabilities)).all()
    assert 0.1 <= calibration.temperature <= 10


def test_prediction_sets_hold_the_right_species_as_often_as_promised():
    fitted, seen = answers(2000, 2, seed=1), answers(20_000, 2, seed=2)
    calibration = calibration_fit.fit(*fitted)
    sets = calibration.sets(calibration.apply(seen[0]))
    held = sets[np.arange(len(seen[1])), seen[1]].mean()
    assert held == pytest.approx(COVERAGE, abs=0.01)
    assert sets.any(axis=1).all()
    assert 1 < sets.sum(axis=1).mean() < 5


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_prediction_sets_are_as_crepes_makes_them(coverage):
    """Its conformal classifier by one less the right species' probability (hinge)."""
    from crepes import ConformalClassifier
    from crepes.extras import hinge

    fitted, seen = answers(157, 2, seed=3), answers(300, 2, seed=4)
    classifier = ConformalClassifier()
    classifier.fit(hinge(fitted[0], np.arange(5), fitted[1]))
    expected = classifier.predict_set(hinge(seen[0]), confidence=coverage, smoothing=False)
    right = fitted[0][np.arange(157), fitted[1]]
    lowest = calibration_fit.set_from(right, np.arange(157), coverage)
    np.testing.assert_array_equal(seen[0] >= lowest, expected.astype(bool))


def test_photos_of_a_group_weigh_as_much_as_one_photo():
    """A hundred copies of the worst photo change as much as it alone: nothing."""
    probabilities, targets = answers(60, 2)
    right = probabilities[np.arange(60), targets]
    alone = calibration_fit.set_from(right, np.arange(60), 0.9)
    worst = int(right.argmin())
    copied = np.concatenate([right, np.repeat(right[worst], 100)])
    groups = np.concatenate([np.arange(60), np.repeat(worst, 100)])
    assert calibration_fit.set_from(copied, groups, 0.9) == alone
    assert calibration_fit.set_from(copied, np.arange(160), 0.9) < alone


def test_sets_cover_photos_of_other_groups_as_often_as_promised():
    """Groups of one to nine photos, alike in a group; a new photo is of a new group."""
    rng = np.random.default_rng(5)
    held = []
    for _ in range(300):
        sizes = rng.integers(1, 10, 101)
        right = rng.uniform(size=101) ** (1 / sizes)  # large groups are the surer ones
        groups = np.repeat(np.arange(100), sizes[:-1])
        held.append(right[-1] >= calibration_fit.set_from(right[:-1][groups], groups, 0.9))
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_too_few_photos_promise_nothing_so_the_set_is_all_species():
    probabilities, targets = answers(20, 1)
    calibration = calibration_fit.fit(probabilities, targets)
    assert calibration.sets(calibration.apply(probabilities)).all()


def test_one_in_twenty_known_photos_is_called_unknown():
    probabilities, targets = answers(1000, 2)
    calibration = calibration_fit.fit(probabilities, targets)
    surest = calibration.apply(probabilities).max(axis=1)
    assert (surest < calibration.unknown_below).mean() == pytest.approx(0.05)
