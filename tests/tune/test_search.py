import dataclasses
import datetime
import re
import time
from pathlib import Path

import challengers
import optuna
import pandas as pd
import pytest

from pipeline.core import params
from pipeline.core.errors import UserError
from pipeline.networks import backbones
from pipeline.train import trainer
from pipeline.train.epoch_log import TrainingDiverged
from pipeline.train.metrics import Score
from pipeline.tune import search
from pipeline.tune import study as studies


@pytest.fixture
def p(request):
    written = params.load(request.config.rootpath / "params.yaml")
    written = params.replaced(written, {"model.backbone": "efficientnet_lite2"})
    one = params.Options(choices=[written.model.backbone])
    space = written.tune.space | {"model.backbone": one}
    tune = {"tune.trials": 6, "tune.time_budget": 5.0, "tune.space": space, "tune.stop_below": 0.0}
    return params.replaced(written, tune | {"train.learning_rate": 0.0007})


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A database for all tests here."""
    return challengers.store(tmp_path_factory.mktemp("mlflow"))


class Trained:
    """What training by a formula gives: the best rate is 0.003."""

    def __init__(self, rate):
        self.validation = Score(100, 1 - abs(rate - 0.003) * 50, 0.01, rate)
        right = [photo < 100 * self.validation.accuracy for photo in range(100)]
        self.held_out = pd.DataFrame({"photo": range(100), "right": right})
        self.feature_seconds = 0.0


@pytest.fixture
def tried(store, tmp_path, monkeypatch):
    """Replaces training by a formula, and gives the params of every trial that ran."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.chdir(tmp_path)
    ran = []

    def fit(model, train, data, on_epoch, deadline):
        assert deadline > time.monotonic()
        ran.append(train.learning_rate)
        on_epoch(0, {"val_accuracy": 0.5, "loss": 1.0})
        return Trained(train.learning_rate)

    monkeypatch.setattr(trainer, "fit", fit)
    return ran


@pytest.mark.slow
def test_what_the_best_trial_trained_is_the_incumbent(p, tried, tmp_path):
    study, incumbent = studies.open_study(p, "digest", tmp_path), {}
    search.search(study, p, None, incumbent)
    ((number, trained),) = incumbent.items()
    best = search.best(study, p)
    assert number == best.number != len(tried) - 1, "a later one took its place"
    assert trained.validation.log_loss == best.params["train.learning_rate"]


def test_of_equals_the_first_is_the_incumbent_and_none_that_time_ended():
    incumbent = {}
    for number, rate, seconds in ((3, 0.004, 60), (4, 0.004, 60), (5, 0.003, 0), (6, 0.005, 60)):
        search._update_incumbent(incumbent, number, Trained(rate), time.monotonic() + seconds)
    assert list(incumbent) == [3]


@pytest.mark.slow
def test_the_first_trial_is_the_params_as_they_stand(p, tried, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    assert len(tried) == 6
    assert tried[0] == p.train.learning_rate
    assert len(set(tried)) == 6
    assert search.best(study, p).value == max(trial.value for trial in study.trials)


def test_more_trials_go_on_with_the_same_study_and_none_is_drawn_twice(p, tried, tmp_path):
    search.search(studies.open_study(p, "digest", tmp_path), p, None)
    more = params.replaced(p, {"tune.trials": 9})
    study = studies.open_study(more, "digest", tmp_path)
    search.search(study, more, None)
    assert len(tried) == len(set(tried)) == len(study.trials) == 9


def finished(p, tmp_path, *scores):
    """A study whose trials, heads all, ended with these scores."""
    study = studies.open_study(p, "digest", tmp_path)
    rates = optuna.distributions.FloatDistribution(0, 1)
    for number, score in enumerate(scores):
        study.add_trial(
            optuna.trial.create_trial(
                params={"train.learning_rate": (number + 1) / 100},
                distributions={"train.learning_rate": rates},
                value=score.accuracy_lower_bound,
                user_attrs={**dataclasses.asdict(score), "began": 0.0},
            )
        )
    return study


@pytest.mark.parametrize(
    ("scores", "winner"),
    [
        pytest.param([(25, 0.90, 0.060), (900, 0.88, 0.011), (99, 0.87, 0.034)], 1, id="surest"),
        pytest.param(
            [(99, 0.9, 0.03, 0.5), (99, 0.9, 0.03, 0.2), (99, 0.9, 0.03, 0.4)], 1, id="tie"
        ),
    ],
)
def test_the_winner_is_the_surest_and_of_equals_the_one_with_the_lowest_log_loss(
    p, tmp_path, scores, winner
):
    study = finished(p, tmp_path, *(Score(*(*score, 0.3)[:4]) for score in scores))
    best = search.best(study, p)
    assert best.number == winner, f"trial {best.number} wins with {scores[best.number]}"


def test_a_trial_is_trained_with_the_params_that_it_is_remembered_by(
    p, tried, tmp_path, monkeypatch
):
    fit, seen = trainer.fit, []

    def noted(model, train, *others, **named):
        seen.append({"model": model, "train": train})
        return fit(model, train, *others, **named)

    monkeypatch.setattr(trainer, "fit", noted)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    for trial, used in zip(study.trials, seen, strict=True):
        for name, value in trial.params.items():
            section, line = name.split(".")
            assert getattr(used[section], line) == value, f"trial {trial.number}: {name}"


def test_trials_are_worth_what_is_sure_of_them(p, tried, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    for trial, rate in zip(study.trials, tried, strict=True):
        accuracy = 1 - abs(rate - 0.003) * 50
        assert trial.value == pytest.approx(accuracy - 0.01), "less one standard error, 0.01"


def test_a_trial_below_the_median_is_stopped_and_one_above_it_is_not(
    p, tried, tmp_path, monkeypatch
):
    fit, epochs = trainer.fit, []

    def slowly(model, train, data, on_epoch, deadline):
        accuracy = (0.5, 0.6, 0.7, 0.8, 0.4, 0.9)[len(epochs)]
        epochs.append(0)
        for epoch in range(8):
            epochs[-1] += 1
            on_epoch(epoch, {"val_accuracy": accuracy, "loss": 1.0, "val_loss": accuracy - 1})
        return fit(model, train, data, lambda *_: None, deadline)

    monkeypatch.setattr(trainer, "fit", slowly)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    assert epochs == [8, 8, 8, 8, 4, 8], "the fifth, worst one is to end with its fourth epoch"
    assert [trial.state.name == "PRUNED" for trial in study.trials] == [False] * 4 + [True, False]


def test_a_search_ends_when_no_trial_can_be_expected_to_gain(p, tried, tmp_path):
    best = params.replaced(p, {"train.learning_rate": 0.003, "tune.trials": 60})
    enough = params.replaced(best, {"tune.stop_below": 0.3})
    study = studies.open_study(enough, "digest", tmp_path)
    ended = search.search(study, enough, None)
    count = len(study.trials)
    assert 5 <= count < 60, "nothing beats the first trial, whose formula is at its peak"
    assert f"ended after {count} of 60 trials" in ended
    assert search.search(study, enough, None) == ended
    assert len(tried) == count, "what was decided once stands"
    assert search.search(study, params.replaced(best, {"tune.trials": count + 1}), None) == (
        f"all {count + 1} trials are done"
    )


def test_a_search_goes_on_while_trials_gain(p, tried, tmp_path, monkeypatch):
    fit = trainer.fit

    def better_each_time(*given, **named):
        trained = fit(*given, **named)
        right = [photo < 30 + 5 * len(tried) for photo in range(100)]
        trained.held_out = pd.DataFrame({"photo": range(100), "right": right})
        return trained

    monkeypatch.setattr(trainer, "fit", better_each_time)
    gaining = params.replaced(p, {"tune.stop_below": 0.02, "tune.trials": 9})
    study = studies.open_study(gaining, "digest", tmp_path)
    assert search.search(study, gaining, None) == "all 9 trials are done"


def test_with_fewer_trials_later_ones_do_not_count(p, tried, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    for trials in (1, 3):
        fewer = params.replaced(p, {"tune.trials": trials})
        assert search.best(study, fewer).number in range(trials)


def test_the_present_value_is_tried_even_where_the_space_leaves_it_out(p, tried, tmp_path):
    odd = params.replaced(p, {"train.batch_size": 48, "train.learning_rate": 0.02})
    study = studies.open_study(odd, "digest", tmp_path)
    search.search(study, odd, None)
    assert study.trials[0].params["train.batch_size"] == 48
    assert tried[0] == 0.02


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "choices"), [("model.backbone", ["resnet"]), ("model.unfrozen_blocks", [0, 99])]
)
def test_a_network_that_cannot_be_built_stops_the_search_before_it_starts(
    p, tried, tmp_path, name, choices
):
    space = {**p.tune.space, name: params.Options(choices=choices)}
    wrong = params.replaced(p, {"tune.space": space})
    with pytest.raises(UserError, match=name):
        search.search(studies.open_study(wrong, "digest", tmp_path), wrong, None)
    assert not tried


@pytest.mark.slow
def test_other_photos_another_space_or_other_params_start_another_study(p, tried, tmp_path):
    search.search(studies.open_study(p, "digest", tmp_path), p, None)
    assert not studies.open_study(p, "other photos", tmp_path).trials
    changes = {
        "train.epochs": 3,
        "train.weight_decay": 0.3,
        "model.dropout": 0.11,
        "tune.seed": 5,
        "tune.space": {"train.epochs": {"choices": [1, 2]}},
    }
    for name, value in changes.items():
        changed = params.replaced(p, {name: value})
        former = studies.open_study(changed, "digest", tmp_path).trials
        assert not former, f"trials go on counting though {name} has changed"


@pytest.mark.slow
def test_a_search_that_was_killed_ends_with_the_trials_of_one_that_was_not(
    p, tried, tmp_path, monkeypatch
):
    search.search(studies.open_study(p, "digest", tmp_path / "undisturbed"), p, None)
    undisturbed = tried.copy()
    fit = trainer.fit

    def killed(model, train, data, on_epoch, deadline):
        if len(tried) == 9:
            raise KeyboardInterrupt
        return fit(model, train, data, on_epoch, deadline)

    monkeypatch.setattr(trainer, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        search.search(studies.open_study(p, "digest", tmp_path), p, None)
    monkeypatch.setattr(trainer, "fit", fit)
    search.search(studies.open_study(p, "digest", tmp_path), p, None)
    assert tried[6:] == undisturbed


def test_known_params_are_tried_second_and_those_outside_the_space_are_left_alone(
    p, tried, tmp_path
):
    known = {"train.learning_rate": 0.003, "train.epochs": 1, "model.hidden": 77}
    study = studies.open_study(p, "digest", tmp_path, known)
    search.search(study, p, None)
    assert tried[1] == 0.003
    assert study.trials[1].params["model.hidden"] == p.model.hidden
    assert search.best(study, p).number == 1


def test_a_number_that_may_be_a_fraction_is_searched_as_one(p, tried, tmp_path):
    space = {"train.weight_decay": params.Options(low=0, high=1)}
    p = params.replaced(p, {"train.weight_decay": 0.2, "tune.space": space})
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    assert study.trials[0].params == {"train.weight_decay": 0.2}
    assert 0 < study.trials[1].params["train.weight_decay"] < 1


def test_a_search_asked_again_for_the_same_has_the_minutes_it_had_left(p, tried, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    assert search._remaining_seconds(study, p, study.trials) == 300
    trials = [ended("COMPLETE", 100), ended("PRUNED", 40), ended("FAIL", 900)]
    trials.append(ended("COMPLETE", 100, began=60.0))  # by two processes at a time
    assert search._remaining_seconds(study, p, trials) == 140
    more = params.replaced(p, {"tune.trials": 9})
    assert search._remaining_seconds(study, more, trials) == 300
    trials.append(ended("COMPLETE", 200, began=1000.0))
    assert search._remaining_seconds(study, p, trials) == -60
    assert search._remaining_seconds(study, more, trials) == 100


def test_a_trial_whose_process_ends_each_time_is_pruned_at_last(p, tried, tmp_path, capsys):
    for _ in range(studies.MOST_TRIES):
        studies.open_study(p, "digest", tmp_path).ask()
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    assert "is there memory enough?" in capsys.readouterr().out
    states = [trial.state.name for trial in study.trials]
    assert states == ["FAIL"] * 5 + ["PRUNED"] + ["COMPLETE"] * 5
    assert p.train.learning_rate not in tried


def test_a_trial_may_be_interrupted_as_often_as_one_likes(p, tried, tmp_path, monkeypatch):
    fit = trainer.fit

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "fit", interrupted)
    for _ in range(studies.MOST_TRIES):
        with pytest.raises(KeyboardInterrupt):
            search.search(studies.open_study(p, "digest", tmp_path), p, None)
    monkeypatch.setattr(trainer, "fit", fit)
    search.search(studies.open_study(p, "digest", tmp_path), p, None)
    assert tried[0] == p.train.learning_rate


def of_backbones(p: params.Params, *names: str) -> params.Params:
    space = p.tune.space | {"model.backbone": params.Options(choices=list(names))}
    return params.replaced(p, {"tune.space": space})


def test_every_backbone_of_the_space_is_tried_as_the_params_stand(p, tried, tmp_path):
    p = of_backbones(p, p.model.backbone, "efficientnet_lite0", "scratch_cnn")
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    first = [trial.params["model.backbone"] for trial in study.trials[:3]]
    assert first == [p.model.backbone, "efficientnet_lite0", "scratch_cnn"]
    assert tried[:3] == [p.train.learning_rate] * 3


@pytest.mark.slow
def test_networks_without_blocks_are_left_out_where_blocks_are_trained(p, capsys):
    both = "efficientnet_lite0+efficientnet_lite2"
    p = of_backbones(p, "efficientnet_lite0", both)
    assert search.feasible(p) == p
    p = params.replaced(p, {"model.unfrozen_blocks": 1})
    fewer = search.feasible(p)
    assert fewer.tune.space["model.backbone"].choices == ["efficientnet_lite0"]
    assert f"does not fit {both}: the search leaves" in capsys.readouterr().out
    search.check(fewer)
    del fewer.tune.space["model.backbone"]
    assert search.feasible(fewer) == fewer


def test_a_file_of_weights_is_for_one_network_and_known_by_its_content(
    p, tried, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    file = Path("data/weights/weights.pth")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"some")
    p = of_backbones(p, "efficientnet_lite0", "efficientnet_lite2")
    p = params.replaced(p, {"model.backbone": "efficientnet_lite2", "model.weights": str(file)})
    fewer = search.feasible(p)
    assert fewer.tune.space["model.backbone"].choices == ["efficientnet_lite2"]
    assert "does not fit efficientnet_lite0: the search leaves" in capsys.readouterr().out
    with pytest.raises(
        UserError, match=f"{re.escape(str(file))}, .*lite2 cannot take: not weights"
    ):
        search.check(fewer)
    former = studies.open_study(fewer, "digest", tmp_path)
    assert studies.open_study(fewer, "digest", tmp_path).study_name == former.study_name
    file.write_bytes(b"others")
    assert studies.open_study(fewer, "digest", tmp_path).study_name != former.study_name


def test_a_killed_trial_is_tried_again_and_counted_once(p, tried, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    killed = study.ask()  # what a SIGKILL leaves behind: a trial that runs for ever
    rate = killed.suggest_float("train.learning_rate", 0.0002, 0.01, log=True)
    killed.set_user_attr("run_id", "one that MLflow has not")
    again = studies.open_study(p, "digest", tmp_path)
    search.search(again, p, None)
    assert tried[0] == rate
    states = [trial.state for trial in again.trials]
    assert states.count(optuna.trial.TrialState.COMPLETE) == 6
    assert states.count(optuna.trial.TrialState.RUNNING) == 0


def test_a_lock_that_a_killed_process_left_is_no_hindrance(p, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    studies.open_study(p, "digest", Path("studies"))  # relative, as in the stage
    (journal,) = Path("studies").glob("*.log")
    Path(f"{journal}.lock").touch()
    assert not studies.open_study(p, "digest", Path("studies")).trials


def test_a_trial_killed_twice_keeps_its_params_and_no_score(p, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    study.enqueue_trial({"model.dropout": 0.4}, user_attrs={"run_id": "one"})
    study.ask().set_user_attr("log_loss", 0.3)
    again = studies.open_study(p, "digest", tmp_path)
    again.ask()
    (waiting,) = studies.open_study(p, "digest", tmp_path).get_trials(
        states=(optuna.trial.TrialState.WAITING,)
    )
    assert waiting.system_attrs["fixed_params"] == {"model.dropout": 0.4}
    assert waiting.user_attrs == {"run_id": "one", "tries": 2, "retries": 1}


@pytest.mark.slow
def test_a_killed_trial_keeps_its_turn_and_its_run(p, tried, tmp_path):
    import mlflow

    from pipeline.core import tracking

    search.search(studies.open_study(p, "digest", tmp_path / "undisturbed"), p, None)
    study = studies.open_study(p, "digest", tmp_path)
    with tracking.run("tune") as parent:
        killed = study.ask()
        for name, options in p.tune.space.items():
            search._suggest(killed, p, name, options.also(params.value(p, name)))
        client = mlflow.MlflowClient()
        tags = {"mlflow.parentRunId": parent.info.run_id}
        left_open = client.create_run(parent.info.experiment_id, tags=tags, run_name="trial 0")
        killed.set_user_attr("run_id", left_open.info.run_id)
        study = studies.open_study(p, "digest", tmp_path)
        search.search(study, p, None)
    assert tried[7:] == tried[1:6]
    runs = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    names = [f"trial {number}" for number in range(1, 7)]
    assert sorted(run.info.run_name for run in runs) == names
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert left_open.info.run_id in [run.info.run_id for run in runs]


def test_half_a_line_that_a_full_disk_left_is_no_hindrance(p, tried, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    study.ask()
    (journal,) = tmp_path.glob("*.log")
    with journal.open("a") as file:
        file.write('{"op_code": 4, "study')
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    assert len(studies.open_study(p, "digest", tmp_path).trials) == 7


def shared(p, tmp_path):
    return params.replaced(p, {"tune.storage": f"sqlite:///{tmp_path}/study.db"})


@pytest.mark.slow
def test_a_trial_whose_process_was_killed_before_it_drew_anything_is_tried_again(
    p, tried, tmp_path, monkeypatch
):
    p = shared(p, tmp_path)
    studies.open_study(p, "digest", tmp_path).ask()  # the first, whose params are set
    monkeypatch.setattr(studies, "GRACE", 0.5)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    assert tried.count(p.train.learning_rate) == 1
    states = [trial.state.name for trial in study.trials]
    assert states.count("COMPLETE") == 6
    assert states.count("RUNNING") == 0


@pytest.mark.slow
def test_a_trial_given_up_keeps_its_place_until_it_is_queued_again(p, tried, tmp_path, monkeypatch):
    p = shared(p, tmp_path)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, params.replaced(p, {"tune.trials": 5}), None)
    lost = study.ask()
    rate = lost.suggest_float("train.learning_rate", 0.001, 0.01, log=True)
    lost.set_user_attr("run_id", "one that MLflow has not")
    study.tell(lost, state=optuna.trial.TrialState.FAIL)  # by a process that was killed there
    assert search._ended(p, study.trials, 100)
    late = study.ask()  # by one that had seen room just before
    assert studies.trial_slot(study, late) == 6
    late.set_user_attr(studies.OVER_LIMIT, True)
    study.tell(late, state=optuna.trial.TrialState.FAIL)
    monkeypatch.setattr(studies, "GRACE", 0.5)
    search.search(study, p, None)
    assert tried[5:] == [rate]
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE"] * 5 + ["FAIL"] * 2 + ["COMPLETE"]


def test_a_kill_between_giving_up_and_queueing_loses_no_trial(p, tried, tmp_path):
    study = studies.open_study(p, "digest", tmp_path)
    killed = study.ask()
    rate = killed.suggest_float("train.learning_rate", 0.001, 0.01, log=True)
    killed.set_user_attr("run_id", "one that MLflow has not")
    study.tell(killed, state=optuna.trial.TrialState.FAIL)
    search.search(studies.open_study(p, "digest", tmp_path), p, None)
    assert tried[0] == rate and len(tried) == 6


@pytest.mark.slow
def test_a_trial_that_an_error_ends_is_tried_by_the_next_process(p, tried, tmp_path, monkeypatch):
    p, fit = shared(of_backbones(p, p.model.backbone, "efficientnet_lite0"), tmp_path), trainer.fit

    def fails(model, train, data, on_epoch, deadline):
        raise OSError("no space left on device")

    monkeypatch.setattr(trainer, "fit", fails)
    with pytest.raises(OSError, match="no space left"):
        search.search(studies.open_study(p, "digest", tmp_path), p, None)
    monkeypatch.setattr(trainer, "fit", fit)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    assert [trial.state.name for trial in ended] == ["FAIL"] + ["COMPLETE"] * 6
    starts = [trial.params["model.backbone"] for trial in ended[1:3]]
    assert starts == [p.model.backbone, "efficientnet_lite0"]


@pytest.mark.slow
def test_a_process_whose_trial_others_took_for_dead_goes_on_with_the_next_one(
    p, tried, tmp_path, monkeypatch, capsys
):
    p, fit, taken = shared(p, tmp_path), trainer.fit, []

    def silent(model, train, data, on_epoch, deadline):
        if not taken:
            other = studies.open_study(p, "digest", tmp_path)
            taken.extend(other.get_trials(states=(optuna.trial.TrialState.RUNNING,)))
            studies.retry(other, taken[0])
        return fit(model, train, data, on_epoch, deadline)

    monkeypatch.setattr(trainer, "fit", silent)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    states = [trial.state.name for trial in study.trials]
    assert states == ["FAIL"] + ["COMPLETE"] * 6
    assert study.trials[1].params == taken[0].params
    assert "others run it" in capsys.readouterr().out


def ended(state, seconds, number=0, **attrs):
    """A trial as a study has it."""
    starts = datetime.datetime(2026, 1, 1)
    trial = optuna.trial.create_trial(
        state=optuna.trial.TrialState[state],
        value=0.9 + number / 100 if state == "COMPLETE" else None,
        user_attrs={"log_loss": 0.3, "began": 0.0} | attrs,
    )
    trial.number, trial.datetime_start = number, starts
    if state in ("COMPLETE", "PRUNED"):
        trial.datetime_complete = starts + datetime.timedelta(seconds=seconds)
    return trial


def test_room_is_for_the_trial_and_for_the_training_of_the_winner(p):
    trials = [ended("COMPLETE", 10), ended("COMPLETE", 10), ended("PRUNED", 1), ended("PRUNED", 1)]
    assert search._ended(p, trials, 21) is None
    assert search._ended(p, trials, 19)


def test_the_next_trial_need_not_wait_for_features_as_the_first_one_did(p):
    trials = [ended("COMPLETE", 110, feature_seconds=100)]
    assert search._ended(p, trials, 21) is None
    assert search._ended(p, trials, 19)


def test_a_trial_that_diverges_does_not_end_the_search(p, tried, tmp_path, monkeypatch):
    fit = trainer.fit

    def sometimes(model, train, data, on_epoch, deadline):
        if len(tried) == 2:
            tried.append(None)
            raise TrainingDiverged("the loss is nan")
        return fit(model, train, data, on_epoch, deadline)

    monkeypatch.setattr(trainer, "fit", sometimes)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    states = [trial.state.name for trial in study.trials]
    assert states.count("PRUNED") == 1
    assert states.count("COMPLETE") == 5


def test_a_trial_that_does_not_fit_into_memory_is_told_and_left(
    p, tried, tmp_path, monkeypatch, capsys
):
    fit = trainer.fit

    def sometimes(model, train, data, on_epoch, deadline):
        if not tried:
            tried.append(None)
            raise trainer.TrainingInfeasible("there is no memory")
        return fit(model, train, data, on_epoch, deadline)

    monkeypatch.setattr(trainer, "fit", sometimes)
    study = studies.open_study(p, "digest", tmp_path)
    search.search(study, p, None)
    assert [trial.state.name for trial in study.trials] == ["PRUNED"] + ["COMPLETE"] * 5
    assert "trial 0: there is no memory" in capsys.readouterr().out


def test_weights_that_are_not_at_hand_stop_the_search_before_it_starts(
    p, tried, tmp_path, monkeypatch
):
    def refused(*_):
        raise UserError("cannot be fetched")

    vgg16 = dataclasses.replace(backbones.get("vgg16"), load_weights=refused, at_hand=lambda: False)
    monkeypatch.setitem(backbones._REGISTRY, "vgg16", vgg16)
    p = of_backbones(p, p.model.backbone, "vgg16")
    with pytest.raises(UserError, match="cannot be fetched"):
        search.search(studies.open_study(p, "digest", tmp_path), p, None)
    assert not tried


def test_a_database_that_cannot_be_reached_is_named(p, tmp_path):
    databases = [f"postgresql+psycopg://me:{{}}@127.0.0.1:{port}/animal" for port in (1, "x")]
    hidden = [(url.format("secret"), url.format("***")) for url in databases]
    for url, told in (*hidden, ("no url", "no url")):
        p = params.replaced(p, {"tune.storage": url})
        with pytest.raises(UserError, match=f"tune.storage is {re.escape(told)}.*SQLAlchemy URL"):
            studies.open_study(p, "digest", tmp_path)


def test_each_trial_is_a_run_of_its_own_below_the_study(p, tried, tmp_path):
    import mlflow

    from pipeline.core import tracking

    study = studies.open_study(p, "digest", tmp_path)
    with tracking.run("tune") as parent:
        search.search(study, p, None)
    runs = mlflow.search_runs(
        experiment_names=["animal"],
        filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'",
    )
    assert len(runs) == 6
    assert set(runs["status"]) == {"FINISHED"}
    assert {"metrics.val_accuracy", "metrics.validation_accuracy"} <= set(runs.columns)


def test_a_study_without_a_finished_trial_says_what_to_do(p, tmp_path):
    with pytest.raises(UserError, match="no trial came to its end"):
        search.best(studies.open_study(p, "digest", tmp_path), p)
