"""Searching for better params: which trial comes next, what it is worth, and which is the best."""

import time
from dataclasses import asdict
from statistics import median
from typing import Any

import optuna

from pipeline.core import params, tracking
from pipeline.core.errors import UserError
from pipeline.networks import backbones
from pipeline.train import datasets, trainer
from pipeline.train.metrics import Score
from pipeline.tune import study as studies

_BEGAN = "began"  # of a trial: when, in seconds since the epoch; Optuna's times have no zone
_WAITED = "waited"  # of a trial: the seconds until it had its features
_DONE = (studies.State.COMPLETE, studies.State.PRUNED)


def feasible(p: params.Params) -> params.Params:
    """The params, with only such networks in the space as their weights fit, and as have blocks, if
    `p` trains blocks.

    Says which it leaves out.
    """
    networks = p.tune.space.get("model.backbone")
    if networks is None:
        return p
    kept = networks.extremes
    if p.model.weights not in ("imagenet", "none"):
        kept, why = [p.model.backbone], f"model.weights is {p.model.weights}"
    elif p.model.unfrozen_blocks:
        kept = [name for name in kept if backbones.get(name).has_blocks]
        why = f"model.unfrozen_blocks is {p.model.unfrozen_blocks}"
    left = [name for name in networks.extremes if name not in kept]
    if not left:
        return p
    print(f"{why}, which is nothing for {', '.join(left)}: the search leaves that out")
    fewer = {"model.backbone": {"choices": kept or [p.model.backbone]}}
    return params.replaced(p, {"tune.space": p.tune.model_dump()["space"] | fewer})


def check(p: params.Params) -> None:
    """Sees that every network of the space can be built, before any time is spent.

    Raises:
        UserError: There is no such backbone, it has not that many blocks, or its weights are not
            at hand and cannot be fetched.
    """
    tried = [p]
    for name, options in p.tune.space.items():
        if name in ("model.backbone", "model.unfrozen_blocks"):
            tried += [params.replaced(q, {name: v}) for q in tried for v in options.extremes]
    for q in tried:
        backbone = backbones.get(q.model.backbone)
        backbone.check(q.resize.size, q.model.unfrozen_blocks)
        if q.model.weights != "imagenet" or not backbone.weights_at_hand():
            backbone.build(q.resize.size, weights=q.model.weights)


def search(study: optuna.Study, p: params.Params, data: datasets.Data) -> None:
    """Runs trials, each an MLflow run below the open one.

    There are `tune.trials` of `tune.space`, or fewer where `tune.time_budget` ends first. No trial
    but the first starts that could not be run as often again in what is left as the winner is
    trained at the end, once for each of `tune.seeds`. A trial that diverges counts as pruned; one
    that an error or Ctrl-C ends is queued again. Where several processes search, each waits at the
    end for the others' last trials, so that all see the same. A search that is started again with
    the same params has the minutes that it had left: one that was killed while it trained the
    winner ends with that winner.

    Args:
        study: What `open_study` gave.
        p: The params that trials start from.
        data: What they learn from.
    """
    check(p)
    silent: dict[tuple[int, studies.State], float] = {}
    while True:
        studies.give_up_silent(study, silent)
        trials = study.get_trials(deepcopy=False)
        left = _left(study, p, trials)
        if _has_room(p, trials, left):
            _run_one(study, p, data, time.monotonic() + left)
        elif _in(studies.State.RUNNING, trials) or studies.given_up(trials):
            time.sleep(1)
        else:
            break


def _left(study: optuna.Study, p: params.Params, trials: list[optuna.trial.FrozenTrial]) -> float:
    """The seconds of `tune.time_budget` that are left.

    Those are spent in which a trial was under way that came to its end, in whichever process, since
    a search was first asked for as many trials and minutes. So one that was killed gets none of
    them twice, and all that share one have the same.
    """
    spent = until = 0.0
    ended = [trial for trial in trials if trial.state in _DONE]
    for trial in sorted(ended, key=lambda trial: trial.user_attrs[_BEGAN]):
        began = trial.user_attrs[_BEGAN]
        ends = began + trial.duration.total_seconds()
        spent += max(0.0, ends - max(until, began))
        until = max(until, ends)
    asked = f"{p.tune.trials} trials, {p.tune.time_budget:g} minutes: spent before"
    if asked not in study.user_attrs:
        study.set_user_attr(asked, spent)
    return p.tune.time_budget * 60 - (spent - study.user_attrs[asked])


def _run_one(study: optuna.Study, p: params.Params, data: datasets.Data, ends: float) -> None:
    """Runs a trial. If others took it for a killed process's meanwhile, it is theirs."""
    failed: BaseException | None = None

    def objective(trial: optuna.Trial) -> float:
        nonlocal failed
        try:
            return _try(trial, p, data, ends)
        except (optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError, _Surplus):
            raise
        except (Exception, KeyboardInterrupt) as error:
            failed = error
            stopped = isinstance(error, KeyboardInterrupt)
            studies.try_again(study, study.trials[trial.number], counted=not stopped)
            raise

    try:
        study.optimize(objective, n_trials=1, callbacks=[_show], catch=(_Surplus,))
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        if failed is not None:  # Optuna only says that the trial is given up already
            raise failed from None
        print(
            f"a trial of this process was not heard of for {studies.GRACE} s: others try it",
            flush=True,
        )


def _in(
    state: studies.State, trials: list[optuna.trial.FrozenTrial]
) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in trials if trial.state == state]


def _has_room(p: params.Params, trials: list[optuna.trial.FrozenTrial], left: float) -> bool:
    """Whether one more trial may start in the seconds left."""
    running = len(_in(studies.State.RUNNING, trials)) + len(studies.given_up(trials))
    done = sum(trial.state in _DONE for trial in trials)
    return done + running < p.tune.trials and left > (1 + p.tune.seeds) * _seconds(trials)


def _seconds(trials: list[optuna.trial.FrozenTrial]) -> float:
    """What a trial takes that is not pruned and has its features, as far as one knows."""
    known = [
        t.duration.total_seconds() - t.user_attrs.get(_WAITED, 0)
        for t in _in(studies.State.COMPLETE, trials)
        if t.duration
    ]
    return median(known or [0.0])


class _Surplus(Exception):
    """Several processes saw the last place free, and another one took it."""


def _try(trial: optuna.Trial, p: params.Params, data: datasets.Data, ends: float) -> float:
    trial.set_user_attr(_BEGAN, time.time())
    place = studies.place(trial.study, trial)
    trial.study.sampler = studies.sampler(trial.study, p, place)
    if place >= p.tune.trials:
        trial.set_user_attr(studies.SURPLUS, True)
        raise _Surplus
    values = {
        name: _suggest(trial, p, name, options.also(params.value(p, name)))
        for name, options in p.tune.space.items()
    }
    tried = params.replaced(p, values)
    history: list[dict[str, float]] = []

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        history.append(metrics)
        trial.report(metrics["val_accuracy"], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    killed = trial.user_attrs.get(studies.RUN)  # where the same trial was when it was killed
    with tracking.run("tune", f"trial {trial.number}", killed, nested=True) as run:
        trial.set_user_attr(studies.RUN, run.info.run_id)
        tracking.log_params(model=tried.model, train=tried.train)
        try:
            if (times := trial.user_attrs.get(studies.TRIES, 0)) >= studies.MOST_TRIES:
                raise trainer.Unfit(f"its process ended {times} times; is there memory enough?")
            trained = trainer.fit(tried.model, tried.train, data, on_epoch, ends=ends)
            trial.set_user_attr(_WAITED, trained.waited)
        except (optuna.TrialPruned, trainer.Unfit) as error:
            trained = None  # raised again below: to MLflow a pruned run is no failed one
            if isinstance(error, trainer.Unfit):
                print(f"trial {trial.number}: {error}", flush=True)
        finally:
            tracking.log_history(history)
        tracking.mlflow().set_tag("pruned", trained is None)
        if trained is not None:
            tracking.log_score(trained.validation)
    if trained is None:
        raise optuna.TrialPruned
    for name, number in asdict(trained.validation).items():
        trial.set_user_attr(name, number)
    return trained.validation.sure


def _show(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.state == studies.State.FAIL:  # it had no place
        return
    outcome = trial.state.name.lower()
    if trial.state == studies.State.COMPLETE:
        outcome = "accuracy {accuracy:.4f} ± {standard_error:.4f}".format_map(trial.user_attrs)
    tried = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.params.items()
    )
    print(f"trial {trial.number:3d}  {outcome}  {tried}", flush=True)


def best(study: optuna.Study, p: params.Params) -> optuna.trial.FrozenTrial:
    """The trial that is surest: accuracy less one standard error, and of equals the lowest
    log-loss.

    Args:
        study: The study; of an earlier, longer search it may have more trials than `p` asks for,
            and they do not count.
        p: The params.

    Raises:
        UserError: No trial came to its end.
    """
    done = _in(studies.State.COMPLETE, _finished(study, p))
    if not done:
        raise UserError(
            "no trial came to its end; raise tune.time_budget or lower train.learning_rate"
        )
    return max(done, key=_rank)


def _rank(trial: optuna.trial.FrozenTrial) -> tuple[float, float]:
    return (trial.value, -trial.user_attrs["log_loss"])


def over_seeds(tuned: params.Params, data: datasets.Data) -> dict[int, Score]:
    """How the same params do from the `tune.seeds` - 1 seeds above `train.seed`, by seed.

    What they differ by is chance, and so is a gain that is no larger. A training that was killed
    goes on from there.
    """
    found, kept = {}, []
    for seed in range(tuned.train.seed + 1, tuned.train.seed + tuned.tune.seeds):
        train = tuned.train.model_copy(update={"seed": seed})
        kept.append(trainer.checkpoint(tuned.model, train, data))
        found[seed] = trainer.fit(tuned.model, train, data, kept=kept[-1]).validation
        print(f"from seed {seed}: validation {found[seed]}", flush=True)
    for each in kept:
        each.remove()
    return found


def _finished(study: optuna.Study, p: params.Params) -> list[optuna.trial.FrozenTrial]:
    done = study.get_trials(deepcopy=False, states=_DONE)
    return done[: p.tune.trials]


def _suggest(trial: optuna.Trial, p: params.Params, name: str, options: params.Options) -> Any:
    if options.choices is not None:
        return trial.suggest_categorical(name, options.choices)
    whole = isinstance(params.value(p, name), int)
    suggest = trial.suggest_int if whole else trial.suggest_float
    return suggest(name, options.low, options.high, log=options.log)
