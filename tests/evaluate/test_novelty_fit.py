import numpy as np
import pytest
from sklearn.covariance import shrunk_covariance

from pipeline.evaluate import novelty_fit
from pipeline.inference.novelty import NoveltyDetector

RNG = np.random.default_rng(5)
SPECIES = np.repeat(["owl", "ant", "bee"], [40, 25, 60])
PLACES = {"owl": (4, 0, 0, 0), "ant": (0, 9, 0, 0), "bee": (0, 0, 0, 2)}
SPREAD = np.array([[1, 0.3, 0, 0], [0, 3, 0.5, 0], [0.2, 0, 0.5, 0], [0, 0, 0, 1]])


def draw(species, seed):
    """Four features of photos, the third of which tells nothing."""
    means = np.array([PLACES[name] for name in species])
    return (means + np.random.default_rng(seed).normal(size=(len(species), 4)) @ SPREAD) * 10


FEATURES = draw(SPECIES, 0)
LARGEST = RNG.normal(8, 2, len(SPECIES))
FOLDS = RNG.integers(0, 4, len(SPECIES))


@pytest.fixture(scope="module")
def fitted():
    return novelty_fit.fit(FEATURES, LARGEST, SPECIES, FOLDS)


@pytest.fixture(scope="module")
def detector(fitted):
    return fitted[0]


@pytest.fixture(scope="module")
def scores(fitted):
    return fitted[1]


def distance(known, species, new):
    """The relative Mahalanobis distance as the paper writes it, with inverses of covariances."""
    centre, spread = known.mean(axis=0), known.std(axis=0)
    known, new = (known - centre) / spread, (new - centre) / spread
    means = {name: known[species == name].mean(axis=0) for name in set(species)}
    apart = known - np.array([means[name] for name in species])
    total = known.T @ known / len(known)
    within = apart.T @ apart / len(known)
    target = 0.1 * np.trace(total) / 4 * np.eye(4)
    to_species, to_all = (np.linalg.inv(0.9 * part + target) for part in (within, total))
    np.testing.assert_allclose(np.linalg.inv(to_all), shrunk_covariance(total, 0.1))
    nearest = [min((x - m) @ to_species @ (x - m) for m in means.values()) for x in new]
    return np.array(nearest) - [x @ to_all @ x for x in new]


def test_the_distance_is_that_of_the_paper(detector):
    new = draw(["owl"] * 9 + ["bee"] * 9, 1)
    expected = distance(FEATURES, SPECIES, new)
    np.testing.assert_allclose(detector.distance(new), expected, rtol=1e-3, atol=1e-3)


def test_the_scores_are_by_fits_to_the_other_folds(detector, scores):
    apart = np.empty(len(SPECIES))
    for fold in range(4):
        rest = fold != FOLDS
        apart[~rest] = distance(FEATURES[rest], SPECIES[rest], FEATURES[~rest])
    expected = (apart - apart.mean()) / apart.std() - (LARGEST - LARGEST.mean()) / LARGEST.std()
    np.testing.assert_allclose(scores, expected, atol=0.01)
    within = detector.score(FEATURES, LARGEST[:, None])
    assert within.mean() < scores.mean() - 0.02, "to what it was fitted to, all seems near"


def test_the_threshold_keeps_95_of_a_hundred_photos(detector, scores):
    kept = scores <= detector.threshold
    assert [kept.sum(), len(kept)] == [119, 125]


def test_a_species_that_lies_between_the_known_ones_is_noticed(detector):
    """What is far from all photos, known ones included, is not: that may be another camera."""
    middle = np.mean([PLACES[name] for name in PLACES], axis=0)
    other = (middle + RNG.normal(size=(40, 4)) @ (0.3 * SPREAD)) * 10
    scores = detector.score(other, np.full((40, 1), 8.0))
    assert (scores > detector.threshold).mean() > 0.9
    known = detector.score(draw(SPECIES, 4), np.full((len(SPECIES), 1), 8.0))
    assert (known <= detector.threshold).mean() > 0.9


def test_too_few_photos_fit_nothing():
    few = slice(36, 45)
    assert novelty_fit.fit(FEATURES[few], LARGEST[few], SPECIES[few], np.arange(9)) is None
    folds = np.repeat([0, 1], [51, 9])
    assert novelty_fit.fit(FEATURES[:60], LARGEST[:60], SPECIES[:60], folds) is None


def test_features_that_never_vary_are_no_numerical_problem():
    features = np.column_stack([FEATURES, np.full(len(SPECIES), 7.0)])
    for given in (features, np.zeros_like(features)):
        detector, scores = novelty_fit.fit(given, LARGEST, SPECIES, FOLDS)
        assert isinstance(detector, NoveltyDetector)
        assert np.isfinite(scores).all()
