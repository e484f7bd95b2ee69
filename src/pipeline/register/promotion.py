"""Lets a version serve, takes it back, and mends what a killed process left half done.

The alias `champion` is the truth. The stage `Production` follows it, and then comes the entry in
the audit log. A process that is killed in between leaves a stage or a log behind the alias;
`repair`, with which every command begins, brings both to where the alias is. Both names lead to a
good version at every moment.
"""

import warnings
from pathlib import Path

from pipeline.core import locks
from pipeline.core.errors import UserError
from pipeline.register import audit_log, versions

# The processes of one project folder take turns. Two machines that share a tracking server are not
# held apart: between the counting of moves and the new alias both could move for some milliseconds.
_LOCK = Path(".cache/registry.lock")
_WAIT = 60.0  # seconds for another promotion to end; each takes less than one


def promote(version: versions.Version, why: str, by: str, seen: int) -> audit_log.Entry:
    """Lets a version serve.

    Args:
        version: The version.
        why: The reason, for the log.
        by: `gate` or `hand`.
        seen: How many moves were in the log when the decision was made.

    Returns:
        The new entry of the log.

    Raises:
        UserError: There are more by now: somebody was faster.
    """
    return _move("promoted", version.number, why, by, seen)


def promote_by_hand(number: int, why: str | None) -> audit_log.Entry:
    """Lets a version serve because a person says so.

    Args:
        number: Of the version.
        why: The reason, for the log; needed for a version that the gate did not let in.

    Returns:
        The new entry of the log.

    Raises:
        UserError: There is no such version or reason, its files were changed, or somebody was
            faster.
    """
    seen, version = len(audit_log.moves()), versions.get(number)
    failed = [check["reason"] for check in version.checks if not check["passed"]]
    if (failed or not version.checks) and not why:
        raise UserError(
            f"the gate has not let version {number} in: "
            f"{'; '.join(failed) or 'it was not judged yet'}. To promote it all the same, say why: "
            f"`animal promote {number} --why '...'`"
        )
    versions.folder(version)
    return promote(version, why or "by hand", "hand", seen)


def rollback(why: str, seen: int) -> audit_log.Entry:
    """Lets the former champion serve again, as the log has it.

    Args:
        why: The reason, for the log.
        seen: How many moves were in the log when the decision was made.

    Returns:
        The new entry of the log.

    Raises:
        UserError: There is no former champion, or somebody was faster.
    """
    now = versions.champion()
    exist = {version.number: version for version in versions.versions()}
    former = [number for number in _line(audit_log.moves(), now) if number in exist]
    if not former:
        raise UserError("there is no former champion to go back to; see `animal versions`")
    versions.folder(exist[former[-1]])
    return _move("rolled back to", former[-1], why, "hand", seen)


def keep_out(version: versions.Version, why: str) -> None:
    """Sets the stage of a version that failed the gate to `Staging`, and logs why."""
    now = versions.champion()
    _set_stage(version.number, "Staging")
    audit_log.append("kept out", version.number, now and now.number, "gate", why)


def repair() -> audit_log.Entry | None:
    """Brings stage and log to where the alias is, if a kill or another program parted them.

    Returns:
        The new entry of the log; None if all agreed.
    """
    if _agreed():
        return None
    with locks.exclusive(_LOCK, _WAIT):  # the one who moves now may be between alias and log
        if _agreed():
            return None
        staged, named, logged = _names()
        exist = {version.number for version in versions.versions()}
        right = next(number for number in named + logged[-1:] + staged if number in exist)
        why = f"stage {versions.STAGE} was at {staged}, alias {versions.ALIAS} at {named}"
        _set_names(right)
        return audit_log.append("put right", right, logged[-1] if logged else None, "repair", why)


def replaced_by_hand(version: versions.Version) -> audit_log.Entry | None:
    """Returns the entry by which a person took this version out of service; None if none did.

    What `repair` had to do counts as a person's: another program set the alias, or a kill cut a
    command off.
    """
    touching = [e for e in audit_log.moves() if version.number in (e.version, e.before)]
    last = touching[-1] if touching else None
    return last if last and last.by != "gate" and last.version != version.number else None


def _line(moves: list[audit_log.Entry], now: versions.Version | None) -> list[int]:
    """Returns the versions that served before, the last one last: a rollback takes one step."""
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


def _move(what: str, version: int, why: str, by: str, seen: int) -> audit_log.Entry:
    with locks.exclusive(_LOCK, _WAIT):
        moves = audit_log.moves()
        if len(moves) != seen:
            raise UserError(
                f"{moves[-1]} meanwhile, so nothing was changed now; look at `animal versions` "
                "and repeat the command if you still mean it"
            )
        now = versions.champion()
        _set_names(version)
        return audit_log.append(what, version, now and now.number, by, why)


def _agreed() -> bool:
    staged, named, logged = _names()
    return staged == named and (not named or logged[-1:] == named)


def _names() -> tuple[list[int], list[int], list[int]]:
    """Returns the versions that the stage, the alias and the log's moves name.

    The alias names one or none.
    """
    now = versions.champion()
    staged = [v.number for v in versions.versions() if v.stage == versions.STAGE]
    logged = [entry.version for entry in audit_log.moves()]
    return staged, [now.number] if now else [], logged


def _set_names(version: int) -> None:
    versions.client().set_registered_model_alias(versions.NAME, versions.ALIAS, str(version))
    _set_stage(version, versions.STAGE)


def _set_stage(version: int, stage: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated, and work
        versions.client().transition_model_version_stage(
            versions.NAME,
            str(version),
            stage,
            archive_existing_versions=stage == versions.STAGE,
        )
