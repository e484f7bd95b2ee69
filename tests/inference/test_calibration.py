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


def test_too_few_photos_promise_nothing_so_the_set_is_all_species():
    probabilities, targets = answers(20, 1)
    calibration = calibration_fit.fit(probabilities, targets)
    assert calibration.sets(calibration.apply(probabilities)).all()


def test_one_in_twenty_known_photos_is_called_unknown():
    probabilities, targets = answers(1000, 2)
    calibration = calibration_fit.fit(probabilities, targets)
    surest = calibration.apply(probabilities).max(axis=1)
    assert (surest < calibration.unknown_below).mean() == pytest.approx(0.05)
