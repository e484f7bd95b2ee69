"""Searching for better params: an Optuna study that survives a kill."""

import contextlib
import gc
import hashlib
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

import optuna
import sqlalchemy

from pipeline import backbones, lessons, outputs, params, scores, tracking, training
from pipeline.errors import UserError
from pipeline.scores import Score

_HEARTBEAT = 5  # seconds
_GRACE = 20  # seconds; a process that has not been heard of for so long is taken for killed
_DEAR = 600  # seconds that must be left for the first trial that trains blocks: what one costs is
# known only then, and on two cores 2,500 photos cost 2 to 4 minutes
_PROMISING = 3  # how many of the best heads are worth training blocks below
_STARTS = "starts"  # of a study: what its first trials try
_BLOCKS = "blocks"  # marks trials that train blocks
_ENDED = "ended"  # of a study: the trials and minutes it was given, until its winner is saved
_RUN = "run_id"  # of a trial: MLflow's run
_State = optuna.trial.TrialState
_DONE = (_State.COMPLETE, _State.PRUNED)


def open_study(
    p: params.Params,
    data_digest: str,
    folder: Path,
    known: Mapping[str, Any] = MappingProxyType({}),
) -> optuna.Study:
    """Opens the study of these params and these photos, new or as a killed search left it.

    It goes by content, all that decides a trial's score: the data, the params that trials start
    from, the space, the seed, the code that trains and the versions of what it uses. More trials
    or minutes go on with the same study, and so do other machines on the same database. A trial
    that was under way when its process was killed is tried again.

    Args:
        p: The params.
        data_digest: `lessons.Data.digest`.
        folder: Folder for journals; safe to delete at any time.
        known: Params by the name of their line that have been good before, such as the champion's:
            the second trial, as far as the space has them. Defaults to none. Then each backbone is
            tried as the params stand.

    Raises:
        UserError: `tune.storage` is no database that can be reached.
    """
    lines = p.tune.model_dump(include={"space", "blocks", "seed"})
    content = [data_digest, p.model.model_dump(), p.train.model_dump(), lines, training.code()]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _create(key, _storage(p.tune.storage, key, folder))
    if _STARTS not in study.user_attrs:
        study.set_user_attr(_STARTS, _starts(p, known))
    if p.tune.storage == "local":
        for trial in study.get_trials(states=(_State.RUNNING,)):
            _try_again(study, trial)
    return study


def _starts(p: params.Params, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the first trials try, before any is drawn."""
    current = {name: _current(p, name) for name in p.tune.space}
    space = p.tune.space.items()
    good = {name: known[name] for name, o in space if name in known and o.has(known[name])}
    networks = p.tune.space.get("model.backbone")
    others = [{"model.backbone": name} for name in networks.extremes] if networks else []
    starts: list[dict[str, Any]] = []
    for start in (current, current | good, *(current | other for other in others)):
        if start not in starts:
            starts.append(start)
    return starts


def _sampler(study: optuna.Study, p: params.Params, place: int) -> optuna.samplers.BaseSampler:
    """What draws the params of the trial in a place: the starts, then from what has ended."""
    # Seeded by its place, a search that was killed goes on as if nobody had disturbed it; several
    # processes draw each its own, off what others try just now.
    seed = p.tune.seed * 10_000 + place if p.tune.storage == "local" else None
    drawn = optuna.samplers.TPESampler(seed=seed)
    starts = study.user_attrs[_STARTS]
    if place >= len(starts):
        return drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(starts[place], drawn)


def _storage(storage: str, key: str, folder: Path) -> optuna.storages.BaseStorage:
    if storage == "local":
        folder.mkdir(parents=True, exist_ok=True)
        journal = (
            folder / f"{key}.log"
        ).resolve()  # relative, the link that locks it points nowhere
        # Of a killed process: DVC runs one at a time, so nobody else is writing.
        journal.with_suffix(".log.lock").unlink(missing_ok=True)
        _drop_broken_lines(journal)
        backend = optuna.storages.journal.JournalFileBackend(str(journal))
        return optuna.storages.JournalStorage(backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        connect = partial(
            optuna.storages.RDBStorage,
            storage,
            engine_kwargs={"pool_pre_ping": True},  # a database may restart between two trials
            heartbeat_interval=_HEARTBEAT,
            grace_period=_GRACE,
            heartbeat_stale_trial_callback=_queue_again,
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


def _drop_broken_lines(journal: Path) -> None:
    """Leaves out what a full disk left of a line: all that follow could not be read."""
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    kept = [line for line in lines if line.endswith(b"\n") and _is_json(line)]
    if len(kept) < len(lines):
        with outputs.whole(journal) as partial:
            partial.write_bytes(b"".join(kept))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _create(name: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(
        study_name=name,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        # Few trials: a trial stops when it is below the median of the earlier ones.
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3),
    )


def feasible(p: params.Params) -> params.Params:
    """The params, with only such networks in the space as have blocks, if `p` trains blocks.

    Says which it leaves out.
    """
    networks = p.tune.space.get("model.backbone")
    if networks is None or not p.model.unfrozen_blocks:
        return p
    kept = [name for name in networks.extremes if backbones.get(name).has_blocks]
    if left := [name for name in networks.extremes if name not in kept]:
        unfrozen = f"model.unfrozen_blocks is {p.model.unfrozen_blocks}"
        print(f"{unfrozen}: the search leaves out {', '.join(left)}, which has no blocks to train")
    fewer = {"model.backbone": {"choices": kept or [p.model.backbone]}}
    return params.replaced(p, {"tune.space": p.tune.model_dump()["space"] | fewer})


def check(p: params.Params) -> None:
    """Sees that every network of the space can be built, before any time is spent.

    Raises:
        UserError: There is no such backbone, it has not that many blocks, pictures of that size
            cannot enter, or its weights are not at hand and cannot be fetched.
    """
    tried = [p]
    for name, options in p.tune.space.items():
        if name in ("model.backbone", "model.unfrozen_blocks"):
            tried += [params.replaced(q, {name: v}) for q in tried for v in options.extremes]
    blocks = p.tune.blocks.get("model.unfrozen_blocks")
    for q in tried:
        backbone = backbones.get(q.model.backbone)
        more = blocks.extremes if blocks and backbone.has_blocks else ()
        for count in (q.model.unfrozen_blocks, *more):
            backbone.check(q.resize.size, count)
        if q.model.weights != "imagenet" or not backbone.weights_at_hand():
            backbone.build(q.resize.size, weights=q.model.weights)


def search(study: optuna.Study, p: params.Params, data: lessons.Data) -> None:
    """Runs trials, each an MLflow run below the open one.

    First there are `tune.trials` of `tune.space`. If `tune.time_budget` leaves the minutes, they
    go to blocks below the most promising heads, by `tune.blocks`. No trial starts that could not be
    run as often again in what is left as the winner is trained at the end, once for each of
    `tune.seeds`. A trial that diverges counts as pruned; one that an error or Ctrl-C ends is queued
    again. Where several processes search, each waits at the end for the others' last trials, so
    that all see the same. One that was killed while it trained the winner searches no more, so
    that it ends with that winner.

    Args:
        study: What `open_study` gave.
        p: The params that trials start from.
        data: What they learn from.
    """
    check(p)
    gc.freeze()  # each trial has its garbage collected: not among all that is loaded, 0.3 s a time
    ends = time.monotonic() + p.tune.time_budget * 60
    asked = [p.tune.trials, p.tune.time_budget]
    silent: dict[int, float] = {}
    while study.user_attrs.get(_ENDED) != asked:
        _give_up_silent(study, silent)
        trials = study.get_trials(deepcopy=False)
        if _has_room(study, p, trials, ends - time.monotonic()):
            _run_one(study, p, data, ends)
        elif _in(_State.RUNNING, trials):
            time.sleep(1)
        else:
            break
    if p.tune.storage == "local":
        study.set_user_attr(_ENDED, asked)


def close(study: optuna.Study) -> None:
    """Says that the winner is trained and saved: whoever searches again may go on."""
    study.set_user_attr(_ENDED, None)


def _run_one(study: optuna.Study, p: params.Params, data: lessons.Data, ends: float) -> None:
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
            _try_again(study, study.trials[trial.number])
            raise

    try:
        study.optimize(objective, n_trials=1, callbacks=[_show], catch=(_Surplus,))
    except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
        if failed is not None:  # Optuna only says that the trial is given up already
            raise failed from None
        print(f"a trial of this process was not heard of for {_GRACE} s: others try it", flush=True)


def _in(state: _State, trials: list[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in trials if trial.state == state]


def _has_room(
    study: optuna.Study, p: params.Params, trials: list[optuna.trial.FrozenTrial], left: float
) -> bool:
    """Whether one more trial may start in the seconds left; one of blocks is queued for it."""
    heads = [trial for trial in trials if _BLOCKS not in trial.user_attrs]
    dear = [trial for trial in trials if _BLOCKS in trial.user_attrs]
    running = len(_in(_State.RUNNING, heads))
    done = sum(trial.state in _DONE for trial in heads)
    runs = 1 + p.tune.seeds
    if done + running < p.tune.trials:
        return left > runs * _seconds(heads, 0)
    divisible = [t for t in _in(_State.COMPLETE, heads) if _backbone(t, p).has_blocks]
    promising = sorted(divisible, key=_rank)[-_PROMISING:]
    if running or not p.tune.blocks or not promising or left < runs * _seconds(dear, _DEAR / 2):
        return False
    if not _in(_State.WAITING, trials):
        begun = sum(trial.state != _State.FAIL for trial in dear)
        below = promising[-1 - begun % len(promising)]
        study.enqueue_trial(below.params, user_attrs={_BLOCKS: True})
    return True


def _backbone(trial: optuna.trial.FrozenTrial, p: params.Params) -> backbones.Backbone:
    return backbones.get(trial.params.get("model.backbone", p.model.backbone))


def _seconds(trials: list[optuna.trial.FrozenTrial], otherwise: float) -> float:
    """What such a trial takes that is not pruned, as far as one knows."""
    known = [t.duration.total_seconds() for t in _in(_State.COMPLETE, trials) if t.duration]
    return median(known or [otherwise])


class _Surplus(Exception):
    """Several processes saw the last place free, and another one took it."""


def _place(study: optuna.Study, trial: optuna.Trial | optuna.trial.FrozenTrial) -> int:
    """The trial's place, from 0: how many before it count; before a head, only heads do.

    The database numbers trials one by one, so of several processes each gets a place of its own.
    """
    before = study.get_trials(deepcopy=False)[: trial.number]
    heads_only = _BLOCKS not in trial.user_attrs
    return sum(
        other.state != _State.FAIL and not (heads_only and _BLOCKS in other.user_attrs)
        for other in before
    )


def _give_up_silent(study: optuna.Study, silent: dict[int, float]) -> None:
    """Gives up the trials of killed processes and queues them again.

    Optuna hears a trial's heart from when its params are drawn. A process killed between asking
    for a trial and that moment leaves one that nobody else would ever give up.

    Args:
        study: The study.
        silent: When each trial without params was first seen, by its number; kept by the caller.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    running = study.get_trials(deepcopy=False, states=(_State.RUNNING,))
    for trial in running:
        now = time.monotonic()
        if not trial.params and now - silent.setdefault(trial.number, now) > _GRACE:
            _try_again(study, trial)


def _try_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Gives up a killed process's trial and queues it again, unless another has done so."""
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
        study.tell(trial.number, state=_State.FAIL)
        _queue_again(study, trial)


def _queue_again(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Queues what a trial that was given up had tried, without the score it may have had."""
    starts = dict(enumerate(study.user_attrs[_STARTS]))
    given = trial.system_attrs.get("fixed_params", starts.get(_place(study, trial), {}))
    drawn = trial.params if _RUN in trial.user_attrs else {}  # a part only is drawn anew
    kept = {name: trial.user_attrs[name] for name in (_BLOCKS, _RUN) if name in trial.user_attrs}
    study.enqueue_trial(given | drawn, user_attrs=kept)


def _try(trial: optuna.Trial, p: params.Params, data: lessons.Data, ends: float) -> float:
    values = {}
    place = _place(trial.study, trial)
    trial.study.sampler = _sampler(trial.study, p, place)
    if _BLOCKS in trial.user_attrs:
        values = {name: _suggest(trial, name, options) for name, options in p.tune.blocks.items()}
    elif place >= p.tune.trials:
        raise _Surplus
    for name, options in p.tune.space.items():
        values[name] = _suggest(trial, name, options.also(_current(p, name)))
    tried = params.replaced(p, values)
    history: list[dict[str, float]] = []

    def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
        history.append(metrics)
        if _BLOCKS in trial.user_attrs:  # few, and judged by other photos than heads are
            return
        trial.report(metrics["val_accuracy"], epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    killed = trial.user_attrs.get(_RUN)  # the run that the same trial was in, if it was killed
    with tracking.run("tune", f"trial {trial.number}", killed, nested=True) as run:
        trial.set_user_attr(_RUN, run.info.run_id)
        tracking.log_params(model=tried.model, train=tried.train)
        try:
            trained = training.fit(tried.model, tried.train, data, on_epoch, ends=ends)
            value = trained.validation.sure
            if _BLOCKS in trial.user_attrs:
                below = tried.model.model_copy(update={"unfrozen_blocks": p.model.unfrozen_blocks})
                head = training.fit(below, tried.train, data)
                gain, error = scores.gained(trained.held_out, head.held_out)
                value = head.validation.sure + gain - error
        except (optuna.TrialPruned, training.Unfit) as error:
            trained = None  # raised again below: to MLflow a pruned run is no failed one
            if isinstance(error, training.Unfit):
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
    return value


def _show(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    if trial.state == _State.FAIL:  # it had no place
        return
    state = trial.state.name.lower()
    outcome = state
    if trial.state == _State.COMPLETE:
        outcome = "accuracy {accuracy:.4f} ± {standard_error:.4f}".format_map(trial.user_attrs)
    tried = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial.params.items()
    )
    print(f"trial {trial.number:3d}  {outcome}  {tried}", flush=True)


def best(study: optuna.Study, p: params.Params) -> optuna.trial.FrozenTrial:
    """The trial that is surest: accuracy less one standard error, and of equals the lowest
    log-loss.

    Blocks are judged by the validation photos alone, a head by all that it was held out from. So to
    what the head below them has, blocks add what they gain over it on the photos that judged both,
    less the standard error of that.

    Args:
        study: The study; of an earlier, longer search it may have more trials than `p` asks for,
            and they do not count.
        p: The params.

    Raises:
        UserError: No trial came to its end.
    """
    done = _in(_State.COMPLETE, _finished(study, p))
    if not done:
        raise UserError(
            "no trial came to its end; raise tune.time_budget or lower train.learning_rate"
        )
    return max(done, key=_rank)


def _rank(trial: optuna.trial.FrozenTrial) -> tuple[float, float]:
    return (trial.value, -trial.user_attrs["log_loss"])


def over_seeds(tuned: params.Params, data: lessons.Data) -> dict[int, Score]:
    """How the same params do from the `tune.seeds` - 1 seeds above `train.seed`, by seed.

    What they differ by is chance, and so is a gain that is no larger.
    """
    found = {}
    for seed in range(tuned.train.seed + 1, tuned.train.seed + tuned.tune.seeds):
        train = tuned.train.model_copy(update={"seed": seed})
        found[seed] = training.fit(tuned.model, train, data).validation
        print(f"from seed {seed}: validation {found[seed]}", flush=True)
    return found


def _current(p: params.Params, name: str) -> Any:
    """The value of a line such as `train.learning_rate`."""
    section, key = name.split(".")
    return getattr(getattr(p, section), key)


def _finished(study: optuna.Study, p: params.Params) -> list[optuna.trial.FrozenTrial]:
    done = study.get_trials(deepcopy=False, states=_DONE)
    heads = [trial for trial in done if _BLOCKS not in trial.user_attrs][: p.tune.trials]
    if p.tune.time_budget * 60 < _DEAR:
        return heads
    return heads + [trial for trial in done if _BLOCKS in trial.user_attrs]


def _suggest(trial: optuna.Trial, name: str, options: params.Options) -> Any:
    low, high, log = options.low, options.high, options.log
    if options.choices is not None:
        return trial.suggest_categorical(name, options.choices)
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, log=log)
    return trial.suggest_float(name, low, high, log=log)
