import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics

from pipeline.evaluate.intervals import MIN_CAMERAS, intervals, units_of
from pipeline.evaluate.scores import Scores

SPECIES = 3
DRAWS = 1500


def collection(seed=0, groups=100):
    """Uneven species in groups of one to five photos that are right or wrong together."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, groups)
    species, easy = rng.choice(SPECIES, groups, p=[0.6, 0.3, 0.1]), rng.random(groups) < 0.85
    of = np.repeat(np.arange(groups), sizes)
    targets = species[of]
    named = np.where(easy[of], targets, (targets + 1) % SPECIES)
    raw = rng.dirichlet([1] * SPECIES, len(of)) + 1.2 * np.eye(SPECIES)[named]
    return raw / raw.sum(axis=1, keepdims=True), targets, of


@pytest.fixture(scope="module")
def computed():
    probabilities, targets, of = collection()
    return *intervals(Scores(probabilities, targets), of, DRAWS), probabilities, targets, of


@pytest.fixture(scope="module")
def brute_force():
    """Scores by scikit-learn of groups drawn with replacement, one draw at a time."""
    probabilities, targets, of = collection()
    members = [np.flatnonzero(of == group) for group in range(of.max() + 1)]
    rng, rows = np.random.default_rng(9), []
    for _ in range(400):
        chosen = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        said, right = probabilities[chosen].argmax(axis=1), targets[chosen]
        likely = probabilities[chosen, right]
        table = np.zeros((SPECIES, SPECIES))
        np.add.at(table, (right, said), 1)
        row = {
            "accuracy": np.mean(said == right),
            "macro_f1": np.mean(2 * table.diagonal() / (table.sum(axis=0) + table.sum(axis=1))),
            "log_loss": -np.log(likely).mean(),
            ("average_precision", 1): metrics.average_precision_score(
                right == 1, probabilities[chosen, 1]
            ),
        }
        for species in range(SPECIES):
            row["recall", species] = table[species, species] / table[species].sum()
            row["precision", species] = table[species, species] / table[:, species].sum()
        rows.append(row)
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_intervals_are_those_of_drawing_groups_with_replacement(computed, brute_force):
    overall, species, *_ = computed
    for name, drawn in brute_force.items():
        ends = (
            overall[name] if isinstance(name, str) else [end[name[1]] for end in species[name[0]]]
        )
        expected = np.quantile(drawn, [0.025, 0.975])
        # The third species has some ten groups, of which half a group more counts.
        slack = 0.25 if name[1:] != (2,) else 0.4
        np.testing.assert_allclose(ends, expected, atol=slack * np.ptp(expected), err_msg=str(name))


def test_each_photo_for_itself_would_promise_too_much(computed):
    overall, _, probabilities, targets, of = computed
    alone, _ = intervals(Scores(probabilities, targets), np.arange(len(of)), DRAWS)
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier"):
        assert np.diff(overall[name]) > 1.3 * np.diff(alone[name]), name


def test_a_species_that_is_always_right_has_a_width():
    """Of photos that stand alone: a beta distribution for recall, as for precision."""
    targets = np.repeat([0, 1], [12, 30])
    raw = np.eye(2)[targets] * 0.8 + 0.1
    overall, species = intervals(Scores(raw, targets), np.arange(42))
    for name in ("precision", "recall"):
        low, high = species[name]
        np.testing.assert_allclose(
            low, [stats.beta(n + 0.5, 0.5).ppf(0.025) for n in (12, 30)], atol=0.015
        )
        assert high.tolist() == [1, 1]
    for name in ("f1", "average_precision"):
        low, high = species[name]
        assert 0.8 < low[0] < low[1] - 0.02 < 0.98, name
        assert high.tolist() == [1, 1]
    assert overall["accuracy"][0] == pytest.approx(stats.beta(42.5, 0.5).ppf(0.025), abs=0.008)
    for name in ("macro_f1", "balanced_accuracy"):
        low, high = overall[name]
        assert species["f1"][0][0] < low < 0.98 and high == 1, name


def test_what_is_added_to_means_over_species_does_not_move_them():
    """Eight species of two photos, all right: recalls spread as beta distributions, about 1."""
    targets = np.repeat(np.arange(8), 2)
    overall, _ = intervals(Scores(np.eye(8)[targets] * 0.6 + 0.05, targets), np.arange(16))
    one = stats.beta(2.5, 0.5).var() * (2 + 1) / (2 - 1)  # by how much more two photos vary
    low, high = overall["balanced_accuracy"]
    assert low == pytest.approx(1 - 1.96 * np.sqrt(one / 8), abs=0.05)
    assert high == 1


def test_what_is_added_to_losses_does_not_move_them():
    """Half a photo of the largest loss more would raise the mean of twelve by a twentieth of it."""
    right = np.array([0.9] * 11 + [0.05])
    probabilities = np.stack([right, 1 - right], axis=1)
    overall, _ = intervals(Scores(probabilities, np.zeros(12, int)), np.arange(12))
    losses = -np.log(right)
    rng = np.random.default_rng(3)
    weights = rng.exponential(size=(12, 20_000))
    extremes = rng.gamma(0.5, size=(2, 20_000))
    added = losses @ weights + extremes[0] * losses.max() + extremes[1] * losses.min()
    drawn = added / (weights.sum(axis=0) + extremes.sum(axis=0))
    expected = np.quantile(drawn - drawn.mean() + losses.mean(), [0.025, 0.975])
    np.testing.assert_allclose(overall["log_loss"], expected.clip(0), atol=0.04)


def test_a_species_without_a_photo_has_no_interval():
    _, species = intervals(
        Scores(np.array([[0.7, 0.3], [0.6, 0.4]]), np.zeros(2, int)), np.arange(2), 50
    )
    for low, high in species.values():
        assert np.isnan([low[1], high[1]]).all()
        assert 0 < low[0] <= high[0]


def test_cameras_are_drawn_together_where_there_are_enough_to_compare():
    groups = [f"g{i // 2}" for i in range(40)]
    cameras = [f"c{i // 4}" for i in range(40)]
    pictures = pd.DataFrame({"group": groups, "location": cameras})
    by, units = units_of(pictures)
    assert (by, len(set(units))) == ("location", MIN_CAMERAS)
    assert units[0] == units[3] != units[4]
    by, units = units_of(pictures.iloc[:36])
    assert (by, len(set(units))) == ("group", 18)
    unknown = pictures.assign(location=pictures["location"].where(pictures.index != 5))
    assert len(set(units_of(unknown)[1])) == 10, "its group has a camera"
    astride = pictures.assign(group=["g"] * 5 + groups[5:])
    assert len(set(units_of(astride)[1])) == 9
