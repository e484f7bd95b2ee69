"""Scores of weighted photos, against scikit-learn's."""

import numpy as np
import pytest
from sklearn import metrics

from pipeline.evaluate.scores import Scores

SPECIES, PHOTOS = 7, 240


@pytest.fixture(scope="module")
def answers():
    """Uneven species, of the fourth no photo; probabilities in steps, so that many tie."""
    rng = np.random.default_rng(0)
    targets = rng.choice(SPECIES, PHOTOS, p=[0.4, 0.2, 0.15, 0, 0.05, 0.1, 0.1])
    raw = rng.dirichlet([0.4] * SPECIES, PHOTOS) + 0.2 * np.eye(SPECIES)[targets]
    probabilities = np.round(raw / raw.sum(axis=1, keepdims=True), 2) + 1e-3
    return probabilities / probabilities.sum(axis=1, keepdims=True), targets


@pytest.fixture(scope="module")
def weights():
    """Each photo once, and two uneven weightings."""
    rng = np.random.default_rng(1)
    return np.stack([np.ones(PHOTOS), rng.exponential(size=PHOTOS), rng.integers(1, 6, PHOTOS)], 1)


@pytest.fixture(scope="module")
def scores(answers):
    return Scores(*answers)


def by_scikit_learn(name, targets, probabilities, weight):
    predicted, labels = probabilities.argmax(axis=1), range(SPECIES)
    if name == "accuracy":
        return metrics.accuracy_score(targets, predicted, sample_weight=weight)
    if name.startswith("top"):
        k = int(name[3:])
        found = metrics.top_k_accuracy_score
        return found(targets, probabilities, k=k, labels=labels, sample_weight=weight)
    if name == "log_loss":
        return metrics.log_loss(targets, probabilities, labels=labels, sample_weight=weight)
    if name == "brier":
        squares = np.square(probabilities - np.eye(SPECIES)[targets]).sum(axis=1)
        return np.average(squares, weights=weight)
    if name == "balanced_accuracy":
        return metrics.balanced_accuracy_score(targets, predicted, sample_weight=weight)
    occur = np.unique(targets)
    return metrics.f1_score(targets, predicted, labels=occur, average="macro", sample_weight=weight)


def test_scores_of_all_photos_are_those_of_scikit_learn(scores, answers, weights):
    probabilities, targets = answers
    found = scores.means(weights) | scores.species_means(scores.counts(weights))
    assert set(found) == {
        *("accuracy", "top3", "top5", "log_loss", "brier", "balanced_accuracy", "macro_f1")
    }
    for name, values in found.items():
        for value, weight in zip(values, weights.T, strict=True):
            if name in ("top3", "top5"):  # what ties has no one order
                continue
            expected = by_scikit_learn(name, targets, probabilities, weight)
            assert value == pytest.approx(expected), name
        assert name == "top5" or values[0] != pytest.approx(values[1], abs=1e-4), name


def test_the_first_few_are_those_of_scikit_learn(weights):
    rng = np.random.default_rng(2)
    targets, probabilities = rng.integers(0, 7, PHOTOS), rng.dirichlet([1] * 7, PHOTOS)
    found = Scores(probabilities, targets).means(weights)
    for name in ("top3", "top5"):
        for value, weight in zip(found[name], weights.T, strict=True):
            assert value == pytest.approx(by_scikit_learn(name, targets, probabilities, weight))


def test_scores_of_species_are_those_of_scikit_learn(scores, answers, weights):
    probabilities, targets = answers
    counts, ranked = scores.counts(weights), scores.average_precision(weights)
    for column, weight in enumerate(weights.T):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            targets,
            probabilities.argmax(axis=1),
            labels=range(SPECIES),
            sample_weight=weight,
            zero_division=0,
        )
        np.testing.assert_allclose(counts.precision[:, column], precision)
        np.testing.assert_allclose(counts.recall[:, column], recall)
        np.testing.assert_allclose(counts.f1[:, column], f1)
        for species in (0, 1, 2, 4, 5, 6):
            expected = metrics.average_precision_score(
                targets == species, probabilities[:, species], sample_weight=weight
            )
            assert ranked[species, column] == pytest.approx(expected)
    assert np.isnan(ranked[3]).all(), "a species without a photo has an average precision"


def test_what_a_mean_is_of(scores, answers):
    accuracy, brier = scores.values("accuracy", "brier")
    assert accuracy.tolist() == (answers[0].argmax(axis=1) == answers[1]).tolist()
    assert brier.max() > 1, "Brier's score of several classes reaches 2"
