import numpy as np
import pytest

from pipeline.inference.litert import view_mean

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [1.0, 4.0, -9.0]], np.float32)


def outputs(number):
    powers = np.exp(LOGITS[number])
    return {
        "probabilities": powers / powers.sum(),
        "logits": LOGITS[number],
        "features": np.array([number, 10 * number], np.float32),
        "activation_maps": np.full((2, 2, 3), number, np.float32),
    }


def test_views_count_alike_and_probabilities_are_those_of_the_mean_logits():
    mean = view_mean([outputs(0), outputs(1), outputs(2)])
    logits = [3.5 / 3, 5.5 / 3, -10 / 3]
    np.testing.assert_allclose(mean["logits"], logits, rtol=1e-6)
    powers = np.exp(logits)
    np.testing.assert_allclose(mean["probabilities"], powers / powers.sum(), rtol=1e-5)
    assert mean["probabilities"].dtype == np.float32
    assert mean["features"].tolist() == [1, 10]
    assert mean["activation_maps"].max() == 0, "those of the whole photo"


def test_a_photo_of_one_view_has_its_answer_and_no_view_rules_a_species_out():
    alone = view_mean([outputs(1)])
    assert alone["probabilities"] is not None and alone["probabilities"][1] == pytest.approx(
        outputs(1)["probabilities"][1], abs=0
    )
    sure = [{"probabilities": np.array(row)} for row in ([1.0, 0.0], [0.1, 0.9])]
    odds = np.sqrt(1 / 9 * 1e12)
    np.testing.assert_allclose(
        view_mean(sure)["probabilities"], [odds / (1 + odds), 1 / (1 + odds)]
    )
