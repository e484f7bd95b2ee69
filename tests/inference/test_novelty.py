import io

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from pipeline.inference.novelty import NoveltyDetector

RNG = np.random.default_rng(3)
CENTRE, MEANS = RNG.normal(size=5), RNG.normal(size=(3, 2))
PROJECTION, WHOLE = RNG.normal(size=(2, 5)), RNG.normal(size=(2, 2))
STANDARD = np.array([[4.0, 2.0], [-1.0, 0.5]])
DETECTOR = NoveltyDetector(PROJECTION, CENTRE, MEANS, WHOLE, STANDARD, 1.5)
FEATURES = RNG.normal(size=(7, 5))


def test_the_distance_is_that_to_the_nearest_species_less_that_to_all_photos():
    """By SciPy, one photo and one species at a time."""
    inverse = WHOLE.T @ WHOLE
    for features, found in zip(FEATURES, DETECTOR.distance(FEATURES), strict=True):
        axes = PROJECTION @ (features - CENTRE)
        nearest = min(mahalanobis(axes, mean, np.eye(2)) ** 2 for mean in MEANS)
        assert found == pytest.approx(nearest - mahalanobis(axes, np.zeros(2), inverse) ** 2)


def test_the_score_grows_with_the_distance_and_falls_with_the_largest_logit():
    logits = RNG.normal(size=(7, 3))
    expected = (DETECTOR.distance(FEATURES) + 1) / 0.5 + (4 - logits.max(axis=1)) / 2
    np.testing.assert_allclose(DETECTOR.score(FEATURES, logits), expected)


def test_one_photo_is_scored_as_among_others():
    logits = RNG.normal(size=(7, 3))
    alone = [DETECTOR.score(FEATURES[[i]], logits[[i]]).item() for i in range(7)]
    np.testing.assert_allclose(alone, DETECTOR.score(FEATURES, logits), rtol=1e-12)


def test_a_detector_is_read_as_it_was_written():
    again = NoveltyDetector.from_bytes(DETECTOR.to_bytes())
    assert again.threshold == 1.5
    np.testing.assert_array_equal(again.distance(FEATURES), DETECTOR.distance(FEATURES))
    assert again.to_bytes() == DETECTOR.to_bytes(), "the same detector is the same file"


def test_nothing_is_unpickled():
    file = io.BytesIO()
    np.savez(file, projection=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        NoveltyDetector.from_bytes(file.getvalue())
