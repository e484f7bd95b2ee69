import numpy as np
import pytest
from scipy import stats

from pipeline.dataset import group_bootstrap

GROUPS = np.repeat(["b", "a", "d", "c", "e"], [7, 1, 3, 1, 1])


def test_photos_of_a_group_weigh_the_same_and_groups_do_not():
    (drawn,) = group_bootstrap.weights(GROUPS, 3000)
    assert drawn.shape == (13, 3000)
    assert (drawn[0] == drawn[6]).all() and (drawn[8] == drawn[10]).all()
    others = drawn[[0, 7, 8, 11, 12]]
    np.testing.assert_allclose(others.mean(axis=1), 1, atol=0.06)
    np.testing.assert_allclose(np.cov(others), np.eye(5), atol=0.12)
    assert stats.kstest(others.ravel(), "expon").pvalue > 0.01


def test_groups_are_drawn_with_replacement_where_single_ones_must_not_decide():
    """Of two groups both are drawn once, or either twice."""
    groups = np.array(["b"] * 9 + ["a"])
    (drawn,) = group_bootstrap.weights(groups, 4000, exponential=False)
    assert (drawn[:9] == drawn[0]).all() and (drawn[0] + drawn[9] == 2).all()
    shares = [np.mean(drawn[0] == times) for times in range(3)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)


def test_memory_does_not_grow_with_the_photos(monkeypatch):
    whole = np.concatenate(list(group_bootstrap.weights(GROUPS, 50)), axis=1)
    monkeypatch.setattr(group_bootstrap, "_WEIGHTS_AT_A_TIME", 13 * 20)
    parts = list(group_bootstrap.weights(GROUPS, 50))
    assert [part.shape for part in parts] == [(13, 20), (13, 20), (13, 10)]
    again = np.concatenate(list(group_bootstrap.weights(GROUPS, 50)), axis=1)
    assert (np.concatenate(parts, axis=1) == again).all()
    assert whole.shape == again.shape


def test_shares_of_photos_that_stand_alone_have_the_interval_of_jeffreys():
    """The posterior of a share with Jeffreys' prior is a beta distribution."""
    trials = np.ones((3, 60))
    trials[1, 20:] = 0
    hits = np.zeros((3, 60))
    hits[0, :51], hits[1, :20], hits[2, :2] = 1, 1, 1
    low, high = group_bootstrap.proportion(hits, trials, np.arange(60), draws=40_000)
    for i, (right, number) in enumerate([(51, 60), (20, 20), (2, 60)]):
        exact = stats.beta(right + 0.5, number - right + 0.5).ppf([0.025, 0.975])
        assert low[i] == pytest.approx(exact[0], abs=0.003)
        assert high[i] == pytest.approx(max(exact[1], right / number), abs=0.003)


def test_groups_widen_the_interval_as_resampling_whole_groups_does():
    """By brute force: groups drawn with replacement, one draw at a time."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(90), rng.integers(1, 12, 90))
    right = (rng.random(90) < 0.8)[groups] ^ (rng.random(len(groups)) < 0.05)
    trials = np.ones((1, len(groups)))
    ends = np.stack(group_bootstrap.proportion(right[None] * 1.0, trials, groups))[:, 0]
    drawn = []
    for _ in range(1500):
        chosen = rng.integers(0, 90, 90)
        drawn.append(np.mean(np.concatenate([right[groups == group] for group in chosen])))
    expected = np.quantile(drawn, [0.025, 0.975])
    np.testing.assert_allclose(ends, expected, atol=0.012)
    alone = np.stack(group_bootstrap.proportion(right[None] * 1.0, trials, np.arange(len(groups))))
    assert np.diff(ends) > 1.5 * np.diff(alone[:, 0])


def test_of_two_groups_that_are_right_one_is_as_sure_as_of_two_photos():
    hits = np.ones((1, 20))
    low, high = group_bootstrap.proportion(hits, hits, np.repeat([0, 1], 10), draws=20_000)
    assert low[0] == pytest.approx(stats.beta(2.5, 0.5).ppf(0.025), abs=0.02)
    assert high[0] == 1


def test_a_share_of_no_photos_has_no_interval():
    hits = trials = np.array([[0.0, 0, 0], [1, 0, 1]])
    low, high = group_bootstrap.proportion(hits, trials, np.array([0, 0, 1]))
    assert np.isnan([low[0], high[0]]).all()
    assert 0 < low[1] < high[1] == 1


def test_a_group_is_as_large_as_it_is_among_what_counts():
    trials = np.zeros((3, 13))
    trials[0, [0, 1, 7, 8]], trials[1] = 1, 1
    assert group_bootstrap.group_sizes(trials, GROUPS).tolist() == [4 / 3, 13 / 5, 1]
