import numpy as np
import pytest
from scipy.special import softmax

from pipeline.inference.open_set import ImageNet

IMAGENET = ImageNet("a network", ("tench", "ox", "yak"), 0.3)
LOGITS = np.array([[1.0, 900.0, 2.0, 899.0, 3.0], [0.5, -1.0, 0.75, 4.0, 0.0]])


def test_the_animals_are_the_first_classes_and_their_probabilities_are_summed():
    expected = softmax(LOGITS, axis=1)[:, :3].sum(axis=1)
    np.testing.assert_allclose(IMAGENET.animal(LOGITS), expected)
    assert IMAGENET.animal(LOGITS[0]) == pytest.approx(np.e / (1 + np.e))


def test_what_it_looks_like_is_an_animal_even_where_a_thing_is_more_probable():
    assert [IMAGENET.looks_like(row) for row in LOGITS] == ["ox", "yak"]
