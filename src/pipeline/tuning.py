"""Searching for better params: an Optuna study that survives a kill."""

import contextlib
import hashlib
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import sqlalchemy
from ruamel.yaml import YAML

from pipeline import backbones, outputs, params, tracking, training
from pipeline.errors import UserError

_HEARTBEAT = 5  # seconds
_GRACE = 20  # seconds; a process that has not been heard of for so long is taken for killed
_DONE = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


def open_study(p: params.Params, data_digest: str, folder: Path) -> optuna.Study:
    """Opens the study of these params and these photos, new or as a killed search left it.

    It goes by content, all that decides a trial's score: the data, the params that trials start
    from, the space, the seed, the code that trains and the versions of what it uses. More trials
    or minutes go on with the same study, and so do other machines on the same database. A trial
    that was under way when its process was killed is tried again.

    Args:
        p: The params.
        data_digest: `training.Data.digest`.
        folder: Folder for journals; safe to delete at any time.

    Raises:
        UserError: `tune.storage` is no database that can be reached.
    """
    lines = p.tune.model_dump(include={"space", "seed"})
    content = [data_digest, p.model.model_dump(), p.train.model_dump(), lines, training.code()]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _create(key, _storage(p.tune.storage, key, folder))
    shared = p.tune.storage != "local"
    if not shared:
        for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            _try_again(study, trial)
    study.sampler = optuna.samplers.TPESampler(
        # Seeded anew for each trial already there, or a resumed search would draw the same ones
        # again; of several processes each draws its own, and keeps off what others try just now.
        seed=None if shared else p.tune.seed + len(study.trials),
        constant_liar=shared,
    )
    if not study.trials:
        current = {name: _current(p, name) for name in p.tune.space}
        study.enqueue_trial(current, skip_if_exists=True)
    return study


def _storage(storage: str, key: str, folder: Path) -> optuna.storages.BaseStorage:
    if storage == "local":
        folder.mkdir(parents=True, exist_ok=True)
        backend = optuna.storages.journal.JournalFileBackend(str(folder / f"{key}.log"))
        return optuna.storages.JournalStorage(backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
        connect = partial(
            optuna.storages.RDBStorage,
            storage,
            heartbeat_interval=_HEARTBEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=retry,
        )
        try:
            try:
                return connect()
            except (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError):
                time.sleep(2)  # another process makes the tables just now
                return connect()
        except Exception as error:  # each database's driver raises its own
            reason = str(error).splitlines()[0]
            raise UserError(
                f"tune.storage is {storage}, which cannot be used as a database: {reason}; it "
                "wants `local` or an SQLAlchemy URL such as postgresql+psycopg://user@host/name"
            ) from None


def _create(name: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(
        study_name=name,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        # Few trials: a trial stops when it is below the median of the earlier ones.
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=4),
    )


def check(p: params.Params) -> None:
    """Sees that every network of the space can be built, before any time is spent.

    Raises:
        UserError: There is no such backbone, or it has not that many blocks.
    """
    tried = [p]
    for name in ("model.backbone", "model.unfrozen_blocks"):
        options = p.tune.space.get(name)
        values = options.extremes if options else []
        tried = [params.replaced(q, {name: v}) for q in tried for v in values] + tried
    for q in tried:
        backbones.get(q.model.backbone).check(q.resize.size, q.model.unfrozen_blocks)


def search(study: optuna.Study, p: params.Params, data: training.Data) -> None:
    """Runs trials, each an MLflow run below the open one, until there are `tune.trials`.

    No trial starts after `tune.minutes`. A trial that diverges counts as pruned. Where several
    processes search, each waits at the end for the others' last trials, so that all see the same.

    Args:
        study: What `open_study` gave.
        p: The params that trials start from.
        data: What they learn from.
    """
    check(p)
    ends = time.monotonic() + p.tune.minutes * 60
    silent: dict[int, float] = {}
    while True:
        finished = len(study.get_trials(deepcopy=False, states=_DONE))
        elsewhere = _under_way(study, silent)
        if finished + elsewhere < p.tune.trials and time.monotonic() < ends:
            study.optimize(
                lambda trial: _try(trial, p, data),
                n_trials=1,
                callbacks=[_show],
                catch=(_Surplus,),
            )
        elif elsewhere:
            time.sleep(1)
        else:
            break


class _Surplus(Exception):
    """Several processes saw the last place free, and another one took it."""


def _take_place(trial: optuna.Trial, places: int) -> None:
    """The database numbers trials one by one, so the numbers decide who has a place.

    Raises:
        _Surplus: The trials before this one take all places.
    """
    before = trial.study.get_trials(deepcopy=False)[: trial.number]
    if sum(other.state != optuna.trial.TrialState.FAIL for other in before) >= places:
        raise _Surplus


def _under_way(study: optuna.Study, silent: dict[int, float]) -> int:
    """How many trials other processes are at; those of killed ones are queued again.

    Optuna hears a trial's heart from when its params are drawn. A process killed between asking
    for a trial and that moment leaves one that nobody else would ever give up.

    Args:
        study: The study.
        silent: When each trial without params was first seen, by its number; kept by the caller.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for trial in running:
        now = time.monotonic()
        if not trial.params and now - silent.setdefault(trial.number, now) > _GRACE:
            _try_again(study, trial)
    return len(running)


def _try_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Gives up a killed process's trial and queues its params, unless another has done so."""
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params or trial.system_attrs.get("fixed_params", {}))


def _try(trial: optuna.Trial, p: params.Params, data: training.Data) -> float:
    _take_place(trial, p.tune.trials)
    values = {
        name: _suggest(trial, name, options, _current(p, name))
        for name, options in p.tune.space.items()
    }
    tried = params.replaced(p, values)
    history: list[dict[str, float]] = []

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        history.append(metrics)
        trial.report(metrics["val_accuracy"], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    with tracking.run("tune", f"trial {trial.number}", nested=True):
        tracking.log_params(model=tried.model, train=tried.train)
        try:
            score = training.fit(tried.model, tried.train, data, on_epoch).validation
        except (optuna.TrialPruned, training.Diverged):
            score = None  # raised again below: to MLflow a pruned run is no failed one
        finally:
            tracking.log_history(history)
        tracking.mlflow().set_tag("pruned", score is None)
        if score is not None:
            tracking.log_score(score)
    if score is None:
        raise optuna.TrialPruned
    trial.set_user_attr("log_loss", score.log_loss)
    return score.accuracy


def _show(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.state == optuna.trial.TrialState.FAIL:  # it had no place
        return
    state = trial.state.name.lower()
    outcome = f"accuracy {trial.value:.4f}" if state == "complete" else state
    tried = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.params.items()
    )
    print(f"trial {trial.number:3d}  {outcome}  {tried}", flush=True)


def best(study: optuna.Study, trials: int) -> optuna.trial.FrozenTrial:
    """The trial with the highest validation accuracy, and among equals the lowest log-loss.

    Args:
        study: The study.
        trials: Only so many finished trials count: a study may have more from an earlier run.

    Raises:
        UserError: No trial came to its end.
    """
    done = [trial for trial in _finished(study, trials) if trial.value is not None]
    done = [trial for trial in done if "log_loss" in trial.user_attrs]
    if not done:
        raise UserError("no trial came to its end; raise tune.minutes or lower train.learning_rate")
    return max(done, key=lambda trial: (trial.value, -trial.user_attrs["log_loss"]))


def findings(study: optuna.Study, best: optuna.trial.FrozenTrial) -> dict[str, str]:
    """What a study found, as text files: `trials.csv`, and `best.yaml` with lines for the params.

    `trials.csv` has a row a trial: number, state, validation accuracy, log-loss, seconds, params.
    """
    lines = StringIO()
    YAML().dump(best.params, lines)
    return {"trials.csv": _table(study).to_csv(index=False), "best.yaml": lines.getvalue()}


def _table(study: optuna.Study) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "accuracy": trial.value,
            "log_loss": trial.user_attrs.get("log_loss"),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **trial.params,
        }
        for trial in study.trials
    )


def plot(study: optuna.Study, folder: Path) -> None:
    """Draws the study's history and the importance of each param into a folder.

    The importance is fANOVA's (Hutter et al. 2014), which wants a few trials that differ; with
    fewer only the history is drawn.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from optuna.visualization import matplotlib as drawn

    draw: dict[str, Callable[[optuna.Study], Any]] = {"history": drawn.plot_optimization_history}
    done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in done}) > 1:
        draw["importance"] = drawn.plot_param_importances
    with outputs.whole(folder) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its matplotlib plots experimental
        partial.mkdir()
        for name, function in draw.items():
            function(study)
            plt.savefig(partial / f"{name}.png", dpi=120, bbox_inches="tight")
            plt.close("all")


def _current(p: params.Params, name: str) -> Any:
    """The value of a line such as `train.learning_rate`."""
    section, key = name.split(".")
    return getattr(getattr(p, section), key)


def _finished(study: optuna.Study, most: int) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=_DONE)[:most]


def _suggest(trial: optuna.Trial, name: str, options: params.Options, current: Any) -> Any:
    """Draws a value; the present one is always among those that can be drawn."""
    if options.choices is not None:
        also = [] if current in options.choices else [current]
        return trial.suggest_categorical(name, [*options.choices, *also])
    low, high, log = min(options.low, current), max(options.high, current), options.log
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    return trial.suggest_float(name, low, high, log=log)
