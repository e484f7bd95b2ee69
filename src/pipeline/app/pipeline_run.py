"""Runs `dvc repro` in the current folder as a person would, and reports its progress.

The run is a process of its own, which goes on when the browser is closed and when the app is ended;
what is known of it stands in `.cache/app`, so that an app that is started later shows it too. It
holds the lock of a file there until it ends, however it ends: its number alone may be another
process's later, as after the restart of a container.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.core import stage_timer
from pipeline.core.atomic import atomic_write
from pipeline.core.errors import UserError

_LOG, _STATE, _CODE = (Path(".cache/app", name) for name in ("run.log", "run.json", "exit_code"))
_LOCK = Path(".cache/app/run.lock")
# Lets threads take turns: to ask for the lock is to take it for a moment, which must not refuse a
# start. The lock of `core.locks` is SQLite's, which no child process inherits.
_lock_guard = threading.RLock()
_GOES_ON = "a run goes on already: wait for it, or stop it"
STAGES = ("ingest", "resize", "split", "augment", "train", "tune", "evaluate", "register")
_TAIL = 60  # lines of the log
_MAX_LOG = 1 << 20  # bytes of it that are read
# The shell waits for DVC and writes how it ended, whether or not the app is still there. Its
# standard input is the lock, which DVC does not get: DVC leaves processes that outlive the run.
_SCRIPT = (
    'code=$1; shift; "$@" < /dev/null; echo $? > "$code.partial" && mv "$code.partial" "$code"'
)
# An app that was started in the background ignores Ctrl+C, and so would what it starts.
_HEED = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
_RAN = re.compile(r"Running stage '(\w+)'")
# What DVC writes around a stage's own words.
_OF_DVC = re.compile(
    r"ERROR: (?:failed to reproduce|failed to run)|Running stage |Stage '|> |Updating lock file|"
    r"To track the changes|To enable auto staging|\t(?:git add|dvc config)|Use `dvc push`"
)
_TRACEBACK = "Traceback (most recent call last):"
_FAILED_TO = re.compile(r"ERROR: (?:failed to reproduce '\w+': )?(?=.)")
_SKIPPED = re.compile(r"Stage '(\w+)' (?:didn't change|is cached)")


@contextmanager
def require_idle() -> Iterator[None]:
    """Runs the block while no run goes on, and lets no other thread start one meanwhile.

    What a run reads must not change under it: DVC writes a param to `dvc.lock` when a stage has
    ended, and would take the result for that of a value that was changed while the stage ran.

    Raises:
        UserError: A run goes on.
    """
    with _lock_guard:
        if _running():
            raise UserError(_GOES_ON)
        yield


def start(target: str | None = None) -> None:
    """Starts `dvc repro`.

    Args:
        target: A stage to end with. Defaults to all stages.

    Raises:
        UserError: A run goes on already.
    """
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    repro = [sys.executable, "-m", "dvc", "repro", *([target] if target else [])]
    with _lock_guard, _LOCK.open("ab") as lock:
        if not _take(lock):
            raise UserError(_GOES_ON)
        _CODE.unlink(missing_ok=True)
        with _LOG.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", _HEED, "sh", "-c", _SCRIPT, "sh", str(_CODE), *repro],
                stdin=lock,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl+C that ends the app does not end the run
            )
        with atomic_write(_STATE) as path:
            state = {"pid": process.pid, "started": time.time(), "target": target}
            path.write_text(json.dumps(state))


def stop() -> None:
    """Ends the run as Ctrl+C does; what its stages finished stays."""
    with _lock_guard:
        if _running() and (state := _read()):
            with suppress(ProcessLookupError):
                os.killpg(state["pid"], signal.SIGINT)


def _read() -> dict[str, Any] | None:
    try:
        return json.loads(_STATE.read_text())
    except (OSError, ValueError):
        return None


def _take(lock: BinaryIO) -> bool:
    """Takes the lock of a file, for this process and those that inherit the file, if it is free.

    Raises:
        UserError: The file system has no locks.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(f"{_LOCK.absolute()} cannot be locked: {error}") from None
    return True


def _running() -> bool:
    """Returns whether a run goes on."""
    try:
        with _lock_guard, _LOCK.open("r+b") as lock:
            return not _take(lock)
    except FileNotFoundError:
        return False


def describe() -> dict[str, Any] | None:
    """Describes the run's progress; None if the page never started one.

    Returns:
        `running`; `code`, how it ended (None: it was killed); `started` (s, Unix time);
        `target`; `stages`, a state for each (waiting, running, done, unchanged, failed) with
        the seconds that it took the last time; `left`, the seconds that the rest takes by
        that, or None; `problem`, the sentence with which it failed, or None; and `log`, its
        last lines.
    """
    state = _read()
    if state is None:
        return None
    running = _running()
    code = int(_CODE.read_text()) if not running and _CODE.exists() else None
    lines = _lines()
    seconds = stage_timer.read()
    states = _states(lines, running, code, state["target"])
    stages = [
        {"name": name, "state": states[name], "seconds": seconds.get(name)} for name in states
    ]
    left = _left(stages, time.time() - state["started"]) if running else None
    return {
        **{name: state[name] for name in ("started", "target")},
        **{"running": running, "code": code, "stages": stages, "left": left},
        "problem": _problem(lines) if code else None,
        "log": lines[-_TAIL:],
    }


def _lines() -> list[str]:
    try:
        with _LOG.open("rb") as file:
            file.seek(max(0, _LOG.stat().st_size - _MAX_LOG))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]


def _problem(lines: list[str]) -> str | None:
    """Returns the last message of a stage, or of DVC where no stage wrote one; None without any.

    A person's mistake is a message after `error: `, of one line or several. Else the last line of a
    traceback counts, which names the exception, and then DVC's reason.
    """
    errors = [i for i, line in enumerate(lines) if line.startswith("error: ")]
    if errors:
        message = []
        for line in lines[errors[-1] :]:
            if _OF_DVC.match(line):
                break
            message.append(line)
        return "\n".join(message).removeprefix("error: ")
    if _TRACEBACK in lines:
        return [line for line in lines if not _OF_DVC.match(line)][-1]
    reasons = [_FAILED_TO.sub("", line) for line in lines if line.startswith("ERROR: ")]
    return reasons[-1] if reasons else None


def _states(lines: list[str], running: bool, code: int | None, target: str | None) -> dict:
    """Returns the state of each stage by what DVC wrote; stages behind the target are left out."""
    wanted = STAGES[: STAGES.index(target) + 1] if target else STAGES
    states = dict.fromkeys(wanted, "waiting")
    last = None
    for line in lines:
        ran, skipped = _RAN.match(line), _SKIPPED.match(line)
        name = (ran or skipped)[1] if ran or skipped else None
        if name not in states:
            continue
        if last:
            states[last] = "done"
        states[name], last = ("running", name) if ran else ("unchanged", None)
    if last and not running:
        states[last] = "done" if code == 0 else "failed"
    return states


def _left(stages: list[dict[str, Any]], elapsed: float) -> float | None:
    """Returns the seconds that are left by the stages' last times; None if one is not known."""
    now = [stage for stage in stages if stage["state"] == "running"]
    rest = [stage for stage in stages if stage["state"] == "waiting"]
    if any(stage["seconds"] is None for stage in now + rest):
        return None
    spent = sum(stage["seconds"] or 0 for stage in stages if stage["state"] == "done")
    current = sum(stage["seconds"] for stage in now)
    return sum(stage["seconds"] for stage in rest) + max(0.0, current - max(0.0, elapsed - spent))
