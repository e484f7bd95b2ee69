import numpy as np
import pytest

from evaluate.test_evaluate import CALIBRATION, LABELS, PROBABILITIES, TARGETS
from pipeline.evaluate.trust import classwise_calibration_error, reliability, risk_coverage, trust
from pipeline.inference.open_set import NO_ANIMAL, SPECIES, UNKNOWN_ANIMAL
from pipeline.train.metrics import calibration_error


def test_what_was_promised_is_counted_by_hand():
    kinds = [SPECIES] * 3 + [UNKNOWN_ANIMAL, NO_ANIMAL, UNKNOWN_ANIMAL, SPECIES]
    found = trust(CALIBRATION, PROBABILITIES, TARGETS, LABELS, kinds)
    assert found["temperature"] == 1.2
    assert found["unknown"] == pytest.approx(3 / 7)
    assert found["no_animal"] == pytest.approx(1 / 7)
    right = PROBABILITIES.argmax(axis=1) == TARGETS
    assert found["accuracy_of_known"] == pytest.approx(right[[0, 1, 2, 6]].mean())
    assert found["accuracy_of_known"] != right.mean()
    # The third set is cat and dog, the last ant and bee.
    assert found["coverage"] == pytest.approx(5 / 7)
    assert found["coverage_of"] == {"ant": 3 / 4, "bee": 1, "cat": 1 / 2}
    assert found["set_size"] == (1 + 2 + 2 + 1 + 1 + 1 + 2) / 7
    none = trust(CALIBRATION, PROBABILITIES, TARGETS, LABELS, [NO_ANIMAL] * 7)
    assert none["accuracy_of_known"] is None


def drawn(count=400):
    """Probabilities that are too sure, and what was right."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(count, 3)) * [1, 2, 3]
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (true.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
    sure = np.exp(2 * logits)
    return sure / sure.sum(axis=1, keepdims=True), targets


def test_the_classwise_error_is_the_mean_of_the_species_own_errors():
    """Species by species and bin by bin."""
    probabilities, targets = drawn()
    errors = []
    for species in range(3):
        said, right = probabilities[:, species], targets == species
        error = 0.0
        for low in np.arange(15) / 15:
            inside = (said >= low) & (said < low + 1 / 15)
            if inside.any():
                error += inside.mean() * abs(said[inside].mean() - right[inside].mean())
        errors.append(error)
    found = classwise_calibration_error(probabilities, targets)
    assert found == pytest.approx(np.mean(errors), abs=1e-3)
    assert found > 0.03
    assert classwise_calibration_error(np.eye(3)[targets], targets) == 0


def test_the_surest_photos_are_answered_first():
    probabilities, targets = drawn()
    curve = risk_coverage(probabilities, targets)
    assert [point["answered"] for point in curve] == pytest.approx(np.arange(1, 21) / 20)
    surest, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    for point in curve:
        limit = np.quantile(surest, 1 - point["answered"], method="higher")
        answered = surest >= point["probability"]
        assert answered.mean() == pytest.approx(point["answered"], abs=1 / 400)
        assert point["probability"] == pytest.approx(limit, abs=0.02)
        assert point["accuracy"] == pytest.approx(right[answered].mean())
    assert curve[0]["accuracy"] > curve[-1]["accuracy"] + 0.05


def test_a_few_photos_have_a_curve_too():
    curve = risk_coverage(PROBABILITIES, TARGETS)
    assert curve[0] == {"answered": 0.05, "accuracy": 1.0, "probability": 0.8}
    assert curve[-1]["accuracy"] == pytest.approx(4 / 7)


def test_in_each_bin_the_probability_stands_beside_how_often_it_is_right():
    probabilities, targets = drawn()
    bins = reliability(probabilities, targets)
    surest, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    assert sum(each["photos"] for each in bins) == len(targets)
    for each in bins:
        low = np.floor(each["probability"] * 15) / 15
        inside = (surest >= low) & (surest < low + 1 / 15)
        assert each["photos"] == inside.sum()
        assert each["probability"] == pytest.approx(surest[inside].mean())
        assert each["accuracy"] == pytest.approx(right[inside].mean())
    error = sum(each["photos"] * abs(each["accuracy"] - each["probability"]) for each in bins)
    assert error / len(targets) == pytest.approx(calibration_error(probabilities, targets))
