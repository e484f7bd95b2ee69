"""Searches for better params: which trial comes next, what it scores, and which one is best."""

import time
from dataclasses import asdict
from statistics import median
from typing import Any

import optuna

from pipeline.core import params, tracking
from pipeline.core.errors import UserError
from pipeline.networks import backbones
from pipeline.train import datasets, trainer
from pipeline.train.settings import NetworkSettings, TrainingSettings
from pipeline.tune import stopping
from pipeline.tune import study as studies

_BEGAN = "began"  # of a trial: when, in seconds since the epoch; Optuna's times have no zone
_FEATURE_SECONDS = "feature_seconds"  # of a trial: how long it waited for its features
_DONE = (studies.State.COMPLETE, studies.State.PRUNED)

Trials = list[optuna.trial.FrozenTrial]


def feasible(p: params.Params) -> params.Params:
    """Leaves out of the space the networks that the params cannot train, and prints which.

    A file of weights fits one network, and a concatenation of networks has no blocks to train.

    Returns:
        The params, with a smaller space where it had to be.
    """
    networks = p.tune.space.get("model.backbone")
    if networks is None:
        return p
    possible = networks.extremes
    if p.model.weights not in ("imagenet", "none"):
        possible, why = [p.model.backbone], f"model.weights is {p.model.weights}"
    elif p.model.unfrozen_blocks:
        possible = [name for name in possible if backbones.get(name).has_blocks]
        why = f"model.unfrozen_blocks is {p.model.unfrozen_blocks}"
    left_out = [name for name in networks.extremes if name not in possible]
    if not left_out:
        return p
    print(f"{why}, which does not fit {', '.join(left_out)}: the search leaves that out")
    fewer = {"model.backbone": {"choices": possible or [p.model.backbone]}}
    return params.replaced(p, {"tune.space": p.tune.model_dump()["space"] | fewer})


def check(p: params.Params) -> None:
    """Checks that every network of the space can be built, before any time is spent.

    Raises:
        UserError: There is no such backbone, it has not that many blocks, or its weights are
            missing and cannot be downloaded.
    """
    variants = [p]
    for name, options in p.tune.space.items():
        if name in ("model.backbone", "model.unfrozen_blocks"):
            variants += [
                params.replaced(variant, {name: value})
                for variant in variants
                for value in options.extremes
            ]
    for variant in variants:
        backbone = backbones.get(variant.model.backbone)
        backbone.check(variant.resize.size, variant.model.unfrozen_blocks)
        if variant.model.weights != "imagenet" or not backbone.weights_at_hand():
            backbone.build(variant.resize.size, weights=variant.model.weights)


def search(
    study: optuna.Study,
    p: params.Params,
    data: datasets.TrainingData,
    incumbent: dict[int, trainer.Trained] | None = None,
) -> str:
    """Runs trials, each an MLflow run below the open one.

    There are `tune.trials` of `tune.space`, or fewer where `tune.time_budget` ends first or those
    that are left can hardly change what is served (`tune.stop_below`). No trial but the first
    starts that could not be run twice in what is left, since the winner may have to be trained once
    more at the end. A trial that diverges counts as pruned; one that an error or
    Ctrl-C ends is queued again. Where several processes search, each waits at the end for the
    others' last trials, so that all see the same. A search that is started again with the same
    params has the minutes that it had left: one that was killed while it trained the winner ends
    with that winner.

    Args:
        study: From `open_study`.
        p: The params that trials start from.
        data: What trials train on.
        incumbent: Receives what the best trial of this process trained, by the trial's number,
            unless time was up before it had done. Defaults to None: nobody wants it.

    Returns:
        Why it ended, as a sentence.
    """
    incumbent = {} if incumbent is None else incumbent
    check(p)
    last_heartbeat: dict[tuple[int, studies.State], float] = {}
    while True:
        studies.abandon_silent_trials(study, last_heartbeat)
        trials = study.get_trials(deepcopy=False)
        seconds = _remaining_seconds(study, p, trials)
        ended = _ended(p, trials, seconds)
        if ended is None:
            _run_one(study, p, data, time.monotonic() + seconds, incumbent)
        elif _in(studies.State.RUNNING, trials) or studies.abandoned_trials(trials):
            time.sleep(1)
        else:
            return ended


def _remaining_seconds(study: optuna.Study, p: params.Params, trials: Trials) -> float:
    """Returns the seconds of `tune.time_budget` that are left.

    Those are spent in which a trial was under way that came to its end, in whichever process, since
    a search for as many trials and minutes was first started. So one that was killed gets none of
    them twice, and all that share one have the same.
    """
    spent = until = 0.0
    ended = [trial for trial in trials if trial.state in _DONE]
    for trial in sorted(ended, key=lambda trial: trial.user_attrs[_BEGAN]):
        began = trial.user_attrs[_BEGAN]
        ends = began + (trial.duration.total_seconds() if trial.duration else 0)
        spent += max(0.0, ends - max(until, began))
        until = max(until, ends)
    budget = f"{p.tune.trials} trials, {p.tune.time_budget:g} minutes: spent before"
    if budget not in study.user_attrs:
        study.set_user_attr(budget, spent)
    return p.tune.time_budget * 60 - (spent - study.user_attrs[budget])


def _run_one(
    study: optuna.Study,
    p: params.Params,
    data: datasets.TrainingData,
    deadline: float,
    incumbent: dict[int, trainer.Trained],
) -> None:
    """Runs a trial. If others took this process for killed meanwhile, the trial is theirs."""
    failed: BaseException | None = None
    ended: tuple[int, trainer.Trained] | None = None

    def objective(trial: optuna.Trial) -> float:
        nonlocal failed, ended
        try:
            trained = _score(trial, p, data, deadline)
            ended = trial.number, trained
            return trained.validation.accuracy_lower_bound
        except (optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError, _OverLimit):
            raise
        except (Exception, KeyboardInterrupt) as error:
            failed = error
            interrupted = isinstance(error, KeyboardInterrupt)
            studies.retry(study, study.trials[trial.number], counted=not interrupted)
            raise

    try:
        study.optimize(objective, n_trials=1, callbacks=[_print], catch=(_OverLimit,))
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        if failed is not None:  # Optuna only says that the trial is abandoned already
            raise failed from None
        print(
            f"a trial of this process had no heartbeat for {studies.GRACE} s: others run it",
            flush=True,
        )
        return
    if ended is not None:
        _update_incumbent(incumbent, *ended, deadline)


def _in(state: studies.State, trials: Trials) -> Trials:
    return [trial for trial in trials if trial.state == state]


def _ended(p: params.Params, trials: Trials, seconds: float) -> str | None:
    """Says why no further trial may start; None if one may in the seconds that are left."""
    running = len(_in(studies.State.RUNNING, trials)) + len(studies.abandoned_trials(trials))
    done = [trial for trial in trials if trial.state in _DONE]
    left = p.tune.trials - len(done) - running
    if left <= 0:
        return f"all {p.tune.trials} trials are done"
    if seconds <= 2 * _typical_seconds(trials):
        return f"the {p.tune.time_budget:g} minutes of tune.time_budget are over"
    chance = stopping.chance_of_change(done, left)
    if chance >= p.tune.stop_below:
        return None
    return (
        f"ended after {len(done)} of {p.tune.trials} trials: the chance that another one changes "
        f"which recogniser is served is {chance:.0%} (tune.stop_below)"
    )


def _typical_seconds(trials: Trials) -> float:
    """Returns what a trial takes that is not pruned and has its features; 0 before the first."""
    known = [
        trial.duration.total_seconds() - trial.user_attrs.get(_FEATURE_SECONDS, 0)
        for trial in _in(studies.State.COMPLETE, trials)
        if trial.duration
    ]
    return median(known or [0.0])


class _OverLimit(Exception):
    """Several processes saw the last slot free, and another one took it."""


def _score(
    trial: optuna.Trial, p: params.Params, data: datasets.TrainingData, deadline: float
) -> trainer.Trained:
    """Draws a trial's params, trains with them and stores the scores."""
    trial.set_user_attr(_BEGAN, time.time())
    drawn = _draw(trial, p)
    run_id = trial.user_attrs.get(studies.RUN)  # where the same trial was when it was killed
    with tracking.run("tune", f"trial {trial.number}", run_id, nested=True) as run:
        trial.set_user_attr(studies.RUN, run.info.run_id)
        tracking.log_params(model=drawn.model, train=drawn.train)
        trained = _train(trial, drawn, data, deadline)  # to MLflow a pruned run is no failed one
        tracking.mlflow().set_tag("pruned", trained is None)
        if trained is not None:
            tracking.log_score(trained.validation)
    if trained is None:
        raise optuna.TrialPruned
    trial.set_user_attr(_FEATURE_SECONDS, trained.feature_seconds)
    for name, number in asdict(trained.validation).items():
        trial.set_user_attr(name, number)
    stopping.compare(trial, trained.held_out)
    return trained


def _update_incumbent(
    incumbent: dict[int, trainer.Trained], number: int, trained: trainer.Trained, deadline: float
) -> None:
    """Puts what a trial trained in place of a worse one's, if it trained to its end."""
    # Of equals the first wins, as in `best`.
    scores = [one.validation for one in (*incumbent.values(), trained)]
    highest = max(scores, key=lambda score: (score.accuracy_lower_bound, -score.log_loss))
    if highest is trained.validation and time.monotonic() < deadline:
        incumbent.clear()
        incumbent[number] = trained


def _draw(trial: optuna.Trial, p: params.Params) -> params.Params:
    """Draws the params of a trial.

    Raises:
        _OverLimit: There are as many trials before it as the search shall have.
    """
    slot = studies.trial_slot(trial.study, trial)
    trial.study.sampler = studies.sampler(trial.study, p, slot)
    if slot >= p.tune.trials:
        trial.set_user_attr(studies.OVER_LIMIT, True)
        raise _OverLimit
    values = {
        name: _suggest(trial, p, name, options.also(params.value(p, name)))
        for name, options in p.tune.space.items()
    }
    return params.replaced(p, values)


def _train(
    trial: optuna.Trial, drawn: params.Params, data: datasets.TrainingData, deadline: float
) -> trainer.Trained | None:
    """Trains a recogniser for a trial; None if it is pruned, diverges or does not fit."""
    history: list[dict[str, float]] = []

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        history.append(metrics)
        trial.report(metrics["val_accuracy"], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        if (tries := trial.user_attrs.get(studies.TRIES, 0)) >= studies.MOST_TRIES:
            raise trainer.TrainingInfeasible(
                f"its process ended {tries} times; is there memory enough?"
            )
        network, training = NetworkSettings.of(drawn.model), TrainingSettings.of(drawn.train)
        return trainer.fit(network, training, data, on_epoch, deadline=deadline)
    except optuna.TrialPruned:
        return None
    except trainer.TrainingInfeasible as error:
        print(f"trial {trial.number}: {error}", flush=True)
        return None
    finally:
        tracking.log_history(history)


def _print(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Prints a line on a trial that ended."""
    if trial.state == studies.State.FAIL:  # it had no slot
        return
    outcome = trial.state.name.lower()
    if trial.state == studies.State.COMPLETE:
        outcome = "accuracy {accuracy:.4f} ± {standard_error:.4f}".format_map(trial.user_attrs)
    drawn = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.params.items()
    )
    print(f"trial {trial.number:3d}  {outcome}  {drawn}", flush=True)


def best(study: optuna.Study, p: params.Params) -> optuna.trial.FrozenTrial:
    """Returns the trial with the highest lower bound of accuracy (less one standard error).

    Of equals it is the one with the lowest log-loss.

    Args:
        study: The study; of an earlier, longer search it may have more trials than `p` allows, and
            they do not count.
        p: The params.

    Raises:
        UserError: No trial came to its end.
    """
    done = study.get_trials(deepcopy=False, states=_DONE)[: p.tune.trials]
    complete = _in(studies.State.COMPLETE, done)
    if not complete:
        raise UserError(
            "no trial came to its end; raise tune.time_budget or lower train.learning_rate"
        )
    return max(complete, key=lambda trial: (trial.value, -trial.user_attrs["log_loss"]))


def _suggest(trial: optuna.Trial, p: params.Params, name: str, options: params.Options) -> Any:
    if options.choices is not None:
        return trial.suggest_categorical(name, options.choices)
    is_int = isinstance(params.value(p, name), int)
    suggest = trial.suggest_int if is_int else trial.suggest_float
    low: Any = options.low  # set, like `high`, where there are no choices
    high: Any = options.high
    return suggest(name, low, high, log=options.log)
