import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.train.metrics import Score, calibration_error, paired_accuracy_gain


def test_accuracy_its_error_and_log_loss():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.97, 0.03], [0.5, 0.5]])
    score = Score.of(probabilities, np.array([0, 1, 1, 0]))
    assert score.photos == 4
    assert score.accuracy == 0.75
    assert score.standard_error == pytest.approx(np.sqrt(0.75 * 0.25 / 4))
    assert score.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.03, 0.5]).mean())


def test_a_certain_mistake_costs_much_but_not_everything():
    assert np.isfinite(Score.of(np.array([[1.0, 0.0]]), np.array([1])).log_loss)


def test_of_two_that_are_as_good_the_one_with_more_photos_is_surer():
    few, many = Score(25, 0.8, 0.08, 0.5), Score(400, 0.8, 0.02, 0.5)
    assert few.accuracy_lower_bound == pytest.approx(0.72), (
        "0.88 is accuracy plus, not minus, a standard error"
    )
    assert many.accuracy_lower_bound == pytest.approx(0.78)


def judged(right: dict[str, bool]) -> pd.DataFrame:
    return pd.DataFrame(right.items(), columns=["photo", "right"])


def test_a_gain_is_paired_over_the_photos_that_judged_both():
    new = judged({"a": True, "b": True, "c": True, "d": False, "only here": False})
    old = judged({"d": False, "c": False, "b": True, "a": False, "only there": True})
    gain, error = paired_accuracy_gain(new, old)
    assert gain == 0.5
    assert error == pytest.approx(np.std([1, 0, 1, 0], ddof=1) / 2)
    assert paired_accuracy_gain(old, new) == (-gain, error)


def test_two_pictures_of_a_photo_count_once():
    new = pd.DataFrame({"photo": ["a", "a", "b"], "right": [True, False, True]})
    assert paired_accuracy_gain(new, judged({"a": False, "b": True}))[0] == 0.25


def test_what_one_photo_gains_says_nothing():
    assert paired_accuracy_gain(judged({"a": True}), judged({"a": False})) == (1, float("inf"))


def test_calibration_error_is_nothing_where_probabilities_hold_what_they_say():
    """Of ten answers of 0.8 eight are right."""
    probabilities = np.tile([0.8, 0.2], (10, 1))
    assert calibration_error(probabilities, np.repeat([0, 1], [8, 2])) == pytest.approx(0)
    assert calibration_error(probabilities, np.repeat([0, 1], [3, 7])) == pytest.approx(0.5)


def test_calibration_error_weighs_bins_by_their_photos_and_knows_a_certain_answer():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.6, 0.4], [0.4, 0.6]])
    found = calibration_error(probabilities, np.array([0, 1, 0, 1]))  # 2 of 1.0: half right
    assert found == pytest.approx((2 * 0.5 + 2 * 0.4) / 4)


REFERENCE = json.loads(Path(__file__).with_name("calibration_errors.json").read_text())


@pytest.mark.parametrize("case", REFERENCE)
def test_calibration_errors_are_netcals(case):
    """As `bench/calibration_reference.py` draws the answers."""
    rng = np.random.default_rng(case["seed"])
    logits = rng.normal(0, 2, (400, case["species"]))
    powers = np.exp(logits)
    right = np.array([rng.choice(case["species"], p=row / row.sum()) for row in powers])
    powers = np.exp(logits * (1 + case["seed"]))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    found = calibration_error(probabilities, right, case["bins"])
    assert found == pytest.approx(case["error"], abs=1e-9)
