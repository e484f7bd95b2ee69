"""Draws what a score could have been on other photos of the same kind: the bootstrap over groups.

Photos of a group are near-duplicates, a burst or a camera's, and tell less than as many photos
that have nothing to do with each other. So a draw weighs whole groups, as a cluster (Field & Welsh
2007, Bootstrapping Clustered Data). The weights are exponential, those of the Bayesian bootstrap
(Rubin 1981, The Bayesian Bootstrap), so that no draw is without a photo of a rare species. Where a
comparison must not rest on a single group, they are how often groups are drawn with replacement
(Efron 1979, Bootstrap Methods: Another Look at the Jackknife), so that some draws are without it.
"""

from collections.abc import Iterator

import numpy as np

LEVEL = 0.95  # of the intervals
DRAWS = 2000  # the ends of an interval vary by a sixteenth of a standard error
_WEIGHTS_AT_A_TIME = 2_000_000  # 16 MB: memory stays flat whatever the number of photos


def weights(
    groups: np.ndarray, draws: int = DRAWS, exponential: bool = True
) -> Iterator[np.ndarray]:
    """Draws weights of photos, some draws at a time.

    Args:
        groups: The group of each photo, (n,).
        draws: How many draws. Defaults to 2000.
        exponential: Whether weights are exponential; else whole numbers, 0 among them. Defaults to
            true.

    Yields:
        float64 (n, some), 1 on average; photos of a group have the same. The same arguments always
        give the same weights.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    rng, number = np.random.default_rng(0), group_of.max(initial=-1) + 1
    at_a_time = max(1, _WEIGHTS_AT_A_TIME // max(len(groups), 1))
    for start in range(0, draws, at_a_time):
        some = min(at_a_time, draws - start)
        if exponential:
            yield rng.standard_exponential((number, some))[group_of]
        else:
            times = rng.multinomial(number, np.full(number, 1 / number), some)
            yield times.T[group_of].astype(float)


def interval(drawn: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends of the interval that holds `LEVEL` of the draws, and the estimate.

    Args:
        drawn: Scores, (..., draws); NaN where a score is undefined, then its interval is too.
        estimate: The scores of all photos, (...).
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=-1)
    return np.minimum(low, estimate), np.maximum(high, estimate)


def proportion(
    successes: np.ndarray, trials: np.ndarray, groups: np.ndarray, draws: int = DRAWS
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the intervals of shares, such as the accuracy on parts of the photos.

    Half a group of successes and half a group of failures are added to each draw. For photos that
    stand alone that makes the interval of Jeffreys (Brown, Cai & DasGupta 2001, Interval Estimation
    for a Binomial Proportion), which has a width even where all photos are right.

    Args:
        successes: Per share and photo 1 or 0, (shares, n); 0 where `trials` is.
        trials: Whether a photo counts for a share, 1 or 0, (shares, n).
        groups: The group of each photo, (n,).
        draws: How many draws. Defaults to 2000.

    Returns:
        The lower and the upper ends, (shares,); NaN for a share of no photos.
    """
    success, failure = half_groups(group_sizes(trials, groups), draws)
    drawn = [(successes @ w, trials @ w) for w in weights(groups, draws)]
    right, photos = (np.concatenate(parts, axis=1) for parts in zip(*drawn, strict=True))
    with np.errstate(invalid="ignore"):
        estimate = successes.sum(axis=1) / trials.sum(axis=1)
        shares = (right + success) / (photos + success + failure)
    return interval(shares, estimate)


def group_sizes(trials: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Returns how many of the photos that count for a share are in a group on average.

    Args:
        trials: Whether a photo counts for a share, 1 or 0, (shares, n).
        groups: The group of each photo, (n,).

    Returns:
        (shares,), of those groups that have any; 1 if none has.
    """
    group_of = np.unique(groups, return_inverse=True)[1]
    sizes = [np.bincount(group_of[row > 0]) for row in trials]
    return np.array([size[size > 0].mean() if len(size) else 1 for size in sizes])


def half_groups(sizes: np.ndarray, draws: int = DRAWS, kinds: int = 2) -> np.ndarray:
    """Draws the weight of half a group, for each of several kinds of outcomes.

    A posterior with Jeffreys' prior has seen half an outcome of each kind more.

    Args:
        sizes: Photos of a group, (shares,).
        draws: How many draws. Defaults to 2000.
        kinds: Of outcomes. Defaults to 2: success and failure.

    Returns:
        (kinds, shares, draws), always the same for the same arguments.
    """
    shape = kinds, len(sizes), draws
    return np.random.default_rng(1).standard_gamma(0.5, shape) * np.asarray(sizes)[:, None]
