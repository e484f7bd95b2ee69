"""An Optuna study that survives a kill: where it lives, and what becomes of abandoned trials.

Optuna's heartbeats find the trials of killed processes. Its `RetryFailedTrialCallback` is not
enough to retry them: it loses a trial that was killed before its params were drawn, or between
being failed and being queued; it counts a Ctrl-C as a try; and it knows nothing of the slot that
decides which start a trial has.
"""

import contextlib
import hashlib
import json
import re
import socket
import time
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import optuna
import sqlalchemy
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import exc

from pipeline.core import atomic, params
from pipeline.core.errors import UserError
from pipeline.train import trainer
from pipeline.train.settings import NetworkSettings

HEARTBEAT = 5  # seconds
GRACE = 20  # seconds; a process without a heartbeat for so long is taken for killed
RUN = "run_id"  # of a trial: MLflow's run
TRIES = "tries"  # of a trial: how often it was abandoned before
RETRIES = "retries"  # of a trial: the number of the abandoned one that it retries
OVER_LIMIT = "over_limit"  # marks trials that had no slot: nobody retries them
MOST_TRIES = 5  # or one that its machine has no memory for would be tried for ever
State = optuna.trial.TrialState
_STARTS = "starts"  # of a study: what its first trials try


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
        data_digest: The sha256 of all that training sees.
        folder: Folder for journals; safe to delete at any time.
        known: Params by the name of their line that were good before, such as the champion's: the
            second trial, as far as the space has them. Defaults to none. Then each backbone is
            tried with the params as they stand.

    Raises:
        UserError: `tune.storage` is not a database that can be reached.
    """
    lines = p.tune.model_dump(include={"space", "seed"})
    content = [data_digest, NetworkSettings.of(p.model).content(), p.train.model_dump(), lines]
    content += [trainer.code("tune"), optuna.__version__]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _create(key, _storage(p.tune.storage, key, folder))
    if _STARTS not in study.user_attrs:
        study.set_user_attr(_STARTS, _starts(p, known))
    if p.tune.storage == "local":
        for trial in study.get_trials(states=(State.RUNNING,)):
            retry(study, trial)
        for trial in abandoned_trials(study.get_trials(deepcopy=False)):
            _queue_again(study, trial)
    return study


def run_key(p: params.Params) -> str:
    """Returns the name of the study's attribute with the MLflow run of a search that was killed.

    In a database each folder that searches has one.
    """
    if p.tune.storage == "local":
        return "run_id"
    return f"run_id {socket.gethostname()} {Path.cwd()}"


def _starts(p: params.Params, known: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lists the params of the first trials, before any is drawn."""
    current = {name: params.value(p, name) for name in p.tune.space}
    space = p.tune.space.items()
    good = {name: known[name] for name, o in space if name in known and o.has(known[name])}
    networks = p.tune.space.get("model.backbone")
    others = [{"model.backbone": name} for name in networks.extremes] if networks else []
    starts: list[dict[str, Any]] = []
    for start in (current, current | good, *(current | other for other in others)):
        if start not in starts:
            starts.append(start)
    return starts


def _create(name: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    return optuna.create_study(
        study_name=name,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        # Few trials: a trial stops when it is below the median of the earlier ones, from the fourth
        # epoch on. Over 40 heads on 13 species the order after the third did not predict that at
        # the end (rank correlation 0.0, after the fourth 0.3).
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=3),
    )


def _storage(storage: str, key: str, folder: Path) -> optuna.storages.BaseStorage:
    if storage == "local":
        folder.mkdir(parents=True, exist_ok=True)
        journal = folder / f"{key}.log"
        _drop_broken_lines(journal)
        journal.touch()  # the caches' bound goes by the last use
        # A killed process leaves its lock: DVC runs one at a time, and it is held for milliseconds.
        lock = JournalFileOpenLock(str(journal), grace_period=3)
        backend = JournalFileBackend(str(journal), lock)
        return optuna.storages.JournalStorage(backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        connect = partial(
            optuna.storages.RDBStorage,
            storage,
            engine_kwargs={"pool_pre_ping": True},  # a database may restart between two trials
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=_queue_again,
        )
        try:
            try:
                return connect()
            except (exc.IntegrityError, exc.ProgrammingError):
                time.sleep(2)  # another process makes the tables just now
                return connect()
        except Exception as error:  # each database's driver raises its own
            reason = str(error).splitlines()[0]
            raise UserError(
                f"tune.storage is {_without_password(storage)}, "
                f"which cannot be used as a database: {reason}; "
                "it wants `local` or an SQLAlchemy URL such as "
                "postgresql+psycopg://user@host/name (`pip install -e '.[postgres]'`)"
            ) from None


def _without_password(url: str) -> str:
    """Returns a database's URL without its password."""
    try:
        return sqlalchemy.make_url(url).render_as_string()
    except (exc.ArgumentError, ValueError):  # such as a port that is not a number
        return re.sub(r":[^:@/]*@", ":***@", url)


def _drop_broken_lines(journal: Path) -> None:
    """Removes lines that a full disk cut short: those that follow could not be read."""
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    valid = [line for line in lines if line.endswith(b"\n") and _is_json(line)]
    if len(valid) < len(lines):
        with atomic.atomic_write(journal) as partial:
            partial.write_bytes(b"".join(valid))


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def sampler(study: optuna.Study, p: params.Params, slot: int) -> optuna.samplers.BaseSampler:
    """Returns what draws the params of the trial in a slot: the starts, then TPE.

    Args:
        study: The study.
        p: The params.
        slot: From `trial_slot`.
    """
    # Seeded by its slot, a search that was killed goes on as if nobody had disturbed it; several
    # processes draw each its own, away from what others try just now.
    seed = p.tune.seed * 10_000 + slot if p.tune.storage == "local" else None
    drawn = optuna.samplers.TPESampler(seed=seed)
    starts = study.user_attrs[_STARTS]
    if slot >= len(starts):
        return drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.PartialFixedSampler(starts[slot], drawn)


def trial_slot(study: optuna.Study, trial: optuna.Trial | optuna.trial.FrozenTrial) -> int:
    """Returns the trial's slot, from 0: how many trials before it count.

    The database numbers trials one by one, so of several processes each gets a slot of its own.
    """
    trials = study.get_trials(deepcopy=False)
    counted = [other for other in trials if other.state != State.FAIL] + abandoned_trials(trials)
    return sum(other.number < trial.number for other in counted)


def abandoned_trials(
    trials: list[optuna.trial.FrozenTrial],
) -> list[optuna.trial.FrozenTrial]:
    """Lists the trials that were abandoned and are not queued again yet.

    The process that failed one is about to queue it; until then it keeps its slot, or another one
    took the last slot and it would be queued in vain.
    """
    queued = {trial.user_attrs.get(RETRIES) for trial in trials}
    failed = [trial for trial in trials if trial.state == State.FAIL]
    return [t for t in failed if OVER_LIMIT not in t.user_attrs and t.number not in queued]


def abandon_silent_trials(
    study: optuna.Study, last_heartbeat: dict[tuple[int, State], float]
) -> None:
    """Fails the trials of killed processes and queues them again.

    Optuna has heartbeats of a trial from when its params are drawn. A process killed between
    getting a trial and that moment leaves one that nobody else would ever fail, and one killed
    between failing a trial and queueing it leaves one that nobody would queue.

    Args:
        study: The study.
        last_heartbeat: When each such trial was first seen, by its number and state; it grows.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    trials, now = study.get_trials(deepcopy=False), time.monotonic()
    running = [trial for trial in trials if trial.state == State.RUNNING and not trial.params]
    for trial in running + abandoned_trials(trials):
        if now - last_heartbeat.setdefault((trial.number, trial.state), now) > GRACE:
            requeue = retry if trial.state == State.RUNNING else _queue_again
            requeue(study, trial)


def retry(study: optuna.Study, trial: optuna.trial.FrozenTrial, counted: bool = True) -> None:
    """Fails a killed process's trial and queues it again, unless another process has done so.

    Args:
        study: The study.
        trial: The trial.
        counted: Whether this counts as one of its tries. Defaults to True.
    """
    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
        study.tell(trial.number, state=State.FAIL)
        _queue_again(study, trial, counted)


def _queue_again(
    study: optuna.Study, trial: optuna.trial.FrozenTrial, counted: bool = True
) -> None:
    """Queues the params of an abandoned trial, without the score it may have had."""
    starts = dict(enumerate(study.user_attrs[_STARTS]))
    fixed = trial.system_attrs.get("fixed_params", starts.get(trial_slot(study, trial), {}))
    drawn = trial.params if RUN in trial.user_attrs else {}  # a part only is drawn anew
    run = {RUN: trial.user_attrs[RUN]} if RUN in trial.user_attrs else {}
    tries = {TRIES: trial.user_attrs.get(TRIES, 0) + counted, RETRIES: trial.number}
    study.enqueue_trial(fixed | drawn, user_attrs=run | tries)
