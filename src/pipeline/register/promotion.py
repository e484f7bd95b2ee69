"""Which version serves: stage `Production`, alias `champion` and the audit log, always moved
together.

Where MLflow's store is a database, stage, alias and log entry change in one transaction: a reader
and a killed process alike see all or none of it. A tracking server offers no such thing; there the
log says first what will be, then the stage moves, then the alias. Both names lead to a good version
at every moment in between, and whoever comes next finishes what was begun (`repair`).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from pipeline.core.errors import UserError
from pipeline.register import audit_log, versions


def promote(version: versions.Version, why: str, by: str, seen: int) -> None:
    """Lets a version serve.

    Args:
        version: The version.
        why: The reason, for the log.
        by: `gate` or `hand`.
        seen: How many moves in the log the decision rests on.

    Raises:
        UserError: There are more by now: somebody was faster.
    """
    _move("promoted", version.number, why, by, seen)


def rollback(why: str, seen: int) -> audit_log.Entry:
    """Lets the former champion serve again, as the log has it; gives the log's new entry.

    Raises:
        UserError: There is no former champion, or somebody was faster.
    """
    now = versions.champion()
    exist = {version.number: version for version in versions.versions()}
    former = [number for number in _line(audit_log.moves(), now) if number in exist]
    if not former:
        raise UserError("there is no former champion to go back to; see `animal versions`")
    versions.folder(exist[former[-1]])
    _move("rolled back to", former[-1], why, "hand", seen)
    return audit_log.read()[-1]


def keep_out(version: versions.Version, why: str) -> None:
    """Sets the stage of a version that failed the gate to `Staging`, and says so in the log."""
    now = versions.champion()
    with _one_transaction():
        audit_log.append(
            audit_log.read(), "kept out", version.number, now and now.number, "gate", why
        )
        _stage(version.number, "Staging")


def repair() -> audit_log.Entry | None:
    """Makes stage and alias agree where they do not, and says so in the log.

    Only a kill in the middle of a promotion through a tracking server, or somebody who sets one of
    the two by other means, can have parted them.

    Returns:
        The new entry of the log; None if all was well.
    """
    staged, named = _names()
    if staged == named:
        return None
    with _one_transaction():  # what was read one after the other may have moved in between
        staged, named = _names()
        if staged == named:
            return None
        meant = [entry.version for entry in audit_log.moves()][-1:]
        right = next(number for number in meant + named + staged if number in named + staged)
        why = f"stage {versions.STAGE} was at {staged}, alias {versions.ALIAS} at {named}"
        _write("put right", right, why, "repair")
    return audit_log.read()[-1]


def replaced_by_hand(version: versions.Version) -> audit_log.Entry | None:
    """The entry of the log by which a person took this version out of service, if one did."""
    touching = [e for e in audit_log.moves() if version.number in (e.version, e.before)]
    last = touching[-1] if touching else None
    return last if last and last.by == "hand" and last.version != version.number else None


def _line(moves: list[audit_log.Entry], now: versions.Version | None) -> list[int]:
    """The versions that served before, the last one last: each rollback takes one step back."""
    line: list[int] = []
    for entry in moves:
        if entry.before is not None and line[-1:] != [entry.before]:
            line.append(entry.before)
        if entry.what == "rolled back to" and entry.version in line:
            del line[len(line) - line[::-1].index(entry.version) :]
        else:
            line.append(entry.version)
    if now is not None and now.number in line:
        del line[len(line) - line[::-1].index(now.number) :]
    return [number for number in line if now is None or number != now.number]


def _move(what: str, version: int, why: str, by: str, seen: int) -> None:
    with _one_transaction():
        moves = audit_log.moves()
        if len(moves) == seen:
            _write(what, version, why, by)
    if len(moves) != seen:
        raise UserError(
            f"{moves[-1]} meanwhile, so nothing was changed now; look at `animal versions` and say "
            "it again if you still mean it"
        )


def _write(what: str, version: int, why: str, by: str) -> None:
    now = versions.champion()
    audit_log.append(audit_log.read(), what, version, now and now.number, by, why)
    _stage(version, versions.STAGE)
    versions.client().set_registered_model_alias(versions.NAME, versions.ALIAS, version)


def _names() -> tuple[list[int], list[int]]:
    """The versions that the stage names, and those that the alias names: one each, or none."""
    now = versions.champion()
    return [v.number for v in versions.versions() if v.stage == versions.STAGE], (
        [now.number] if now else []
    )


def _stage(version: int, stage: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated, and work
        versions.client().transition_model_version_stage(
            versions.NAME, version, stage, archive_existing_versions=stage == versions.STAGE
        )


@contextmanager
def _one_transaction() -> Iterator[None]:
    """Makes the calls in the block one transaction, if MLflow's store is a database.

    MLflow commits each call by itself: its store asks `ManagedSessionMaker` for a session and
    commits that. Here all calls get the same session, which is committed at the end.
    """
    store = versions.client().store
    if not hasattr(store, "ManagedSessionMaker"):
        yield
        return
    from sqlalchemy import text

    sessions = store.ManagedSessionMaker
    with sessions(read_only=False) as session:
        # Writing first takes the lock before anything is read: what is read stays true.
        lock = text("UPDATE registered_models SET name = name WHERE name = :name")
        session.execute(lock, {"name": versions.NAME})
        store.ManagedSessionMaker = lambda **_: nullcontext(session)
        try:
            yield
        finally:
            store.ManagedSessionMaker = sessions
