import numpy as np
import optuna
import pandas as pd
import pytest

from pipeline.tune import stopping

STATES = optuna.trial.TrialState


def trials(gains, error, pruned=0):
    """Trials as a study has them: the first one, those with a gain, and pruned ones."""
    ended = [
        optuna.trial.create_trial(value=0.9, user_attrs={"gain": gain, "gain_error": error})
        for gain in gains
    ]
    first = optuna.trial.create_trial(value=0.9)
    return [first, *ended, *[optuna.trial.create_trial(state=STATES.PRUNED)] * pruned]


@pytest.mark.parametrize(
    ("gains", "error", "pruned", "needed"),
    [
        pytest.param([-0.01, 0.002, -0.004, 0.005, -0.002], 0.003, 0, 0.006, id="none-pruned"),
        pytest.param([-0.01, 0.002, -0.004, 0.005, -0.002], 0.003, 6, 0.006, id="half-pruned"),
        pytest.param([0.004, 0.012, 0.006, 0.001], 0.004, 3, 0.012 + 0.008, id="one-is-served"),
    ],
)
def test_the_chance_of_one_more_trial_is_that_of_draws_from_what_the_gains_say(
    gains, error, pruned, needed
):
    # A second way: draws from a t distribution as wide as the gains are above the middle one.
    rng, count = np.random.default_rng(0), 2_000_000
    middle = sorted(gains)[2] if len(gains) == 5 else sum(sorted(gains)[1:3]) / 2
    above = [(gain - middle) ** 2 for gain in gains if gain > middle]
    width = np.sqrt(sum(above) / rng.chisquare(len(above), count))
    enough = (middle + rng.normal(0, width) > needed).mean()
    one = enough * len(gains) / (1 + len(gains) + pruned)
    for left in (1, 5):
        chance = stopping.chance_of_change(trials(gains, error, pruned), left)
        assert chance == pytest.approx(1 - (1 - one) ** left, rel=0.03), (chance, one)


def test_a_trial_that_gained_by_chance_alone_is_not_what_the_next_has_to_beat():
    """0.005 with an error of 0.003 would not be served: to gain 0.006 is enough."""
    lucky = stopping.chance_of_change(trials([0.005, 0.004, 0.005, 0.004], 0.003), 1)
    served = stopping.chance_of_change(trials([0.005, 0.004, 0.005, 0.004], 0.002), 1)
    assert lucky > 5 * served, (lucky, served)


def test_params_that_are_far_worse_do_not_make_a_gain_likelier():
    close = stopping.chance_of_change(trials([-0.003, -0.002, -0.001, 0.001], 0.003), 9)
    worse = stopping.chance_of_change(trials([-0.3, -0.002, -0.001, 0.001], 0.003), 9)
    assert worse == pytest.approx(close), (worse, close)


def test_too_few_gains_say_nothing():
    assert stopping.chance_of_change(trials([-0.5, -0.6, -0.55], 0.001, pruned=9), 1) == 1
    assert stopping.chance_of_change(trials([-0.5] * 4, 0.001), 9) == 0, "none differs"
    assert stopping.chance_of_change(trials([], 0.001), 9) == 1


def test_gains_are_over_the_first_trial_and_a_photo_counts_once():
    study = optuna.create_study()
    rng = np.random.default_rng(1)
    photos = pd.Series([f"{i}" for i in rng.integers(0, 40, 77)])
    answers = [pd.DataFrame({"photo": photos, "right": rng.random(77) < p}) for p in (0.6, 0.7)]
    for held_out in answers:
        trial = study.ask()
        stopping.compare(trial, held_out)
        study.tell(trial, 0.5)
    first, second = study.trials
    assert stopping.GAIN not in first.user_attrs
    differences = []
    for photo in set(photos):
        of_photo = [held_out["right"][photos == photo].mean() for held_out in answers]
        differences.append(of_photo[1] - of_photo[0])
    error = np.std(differences, ddof=1) / np.sqrt(len(differences))
    assert second.user_attrs["gain"] == pytest.approx(np.mean(differences))
    assert second.user_attrs["gain_error"] == pytest.approx(error)
