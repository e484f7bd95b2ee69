"""A run of the stages that the page starts, watches and stops."""

import json
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app import fake_project
from pipeline.app import pipeline_run as run
from pipeline.core.errors import UserError


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(fake_project.make(tmp_path))
    return tmp_path


def until(reached):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        described = run.describe()
        if reached(described):
            return described
        time.sleep(0.02)
    raise AssertionError(run.describe())


def states(described):
    return {stage["name"]: stage["state"] for stage in described["stages"]}


def test_a_run_is_watched_to_its_end_also_by_an_app_that_was_started_later(project):
    assert run.describe() is None
    seconds = {"resize": 9.0, "split": 2.0, "augment": 3.0, "train": 1.0, "tune": 1.0}
    (project / ".cache").mkdir()
    (project / ".cache/stage_seconds.json").write_text(
        json.dumps(seconds | {"evaluate": 1.0, "register": 1.0})
    )
    run.start()
    described = until(lambda described: states(described)["resize"] == "running")
    assert states(described) | {} == {
        **{"ingest": "unchanged", "resize": "running", "split": "waiting", "augment": "waiting"},
        **{name: "waiting" for name in ("train", "tune", "evaluate", "register")},
    }
    assert 9 < described["left"] <= 18
    with pytest.raises(UserError, match="goes on already"):
        run.start()
    (project / "go").write_text("well")
    ended = until(lambda described: not described["running"])
    assert ended["code"] == 0
    assert set(states(ended).values()) == {"unchanged", "done"}
    assert "resize: 7 of 9 photos, 3/s, 1 s left" in ended["log"]


def test_a_run_that_fails_says_at_which_stage(project):
    (project / "go").write_text("wrong")
    run.start()
    ended = until(lambda described: not described["running"])
    assert (ended["code"], states(ended)["split"]) == (255, "failed")
    assert (states(ended)["resize"], states(ended)["train"]) == ("done", "waiting")
    assert ended["log"][-1] == "error: too few good photos of owl"
    assert ended["problem"] == "too few good photos of owl"


LOG = """\
Running stage 'ingest':
> python -m stages.ingest
error: an earlier one
Running stage 'ingest':
> python -m stages.ingest
ingest: 4 of 9 photos, 3/s
{said}
ERROR: failed to reproduce 'ingest': failed to run: python -m stages.ingest, exited with {code}
"""


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        (LOG.format(said="error: two files\na.csv\nb.csv", code=1), "two files\na.csv\nb.csv"),
        (
            LOG.replace("error: an earlier one\n", "").format(
                said="Traceback (most recent call last):\nKeyError: 'fox'", code=1
            ),
            "KeyError: 'fox'",
        ),
        (
            "Updating lock file 'dvc.lock'\n"
            "ERROR: failed to reproduce 'ingest': missing data 'source': /photos\n",
            "missing data 'source': /photos",
        ),
        (
            LOG.replace("error: an earlier one\n", "").format(said="trial 0", code=-9),
            "failed to run: python -m stages.ingest, exited with -9",
        ),
        ("ERROR: Unable to acquire lock.\n", "Unable to acquire lock."),
        ("", None),
    ],
)
def test_what_was_said_last_is_the_problem_and_not_what_dvc_says_of_it(project, log, problem):
    folder = project / ".cache/app"
    folder.mkdir(parents=True)
    (folder / "run.log").write_text(log)
    (folder / "run.json").write_text(json.dumps({"pid": 1, "started": 0.0, "target": None}))
    (folder / "exit_code").write_text("255")
    assert run.describe()["problem"] == problem
    (folder / "exit_code").write_text("0")
    assert run.describe()["problem"] is None


def test_a_run_can_be_stopped_and_one_that_was_killed_is_not_running(project):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in `animal app &`
    run.start()
    signal.signal(signal.SIGINT, before)
    until(lambda described: states(described)["resize"] == "running")
    run.stop()
    ended = until(lambda described: not described["running"])
    assert ended["code"] != 0 and states(ended)["resize"] == "failed"
    run.start()
    pid = json.loads((project / ".cache/app/run.json").read_text())["pid"]
    os.killpg(pid, 9)
    ended = until(lambda described: not described["running"])
    assert (ended["code"], ended["problem"]) == (None, None)


def test_another_process_with_the_runs_number_is_not_the_run(project, monkeypatch):
    folder = project / ".cache/app"
    folder.mkdir(parents=True)
    state = {"pid": os.getpid(), "started": 0.0, "target": None}  # of a run before a restart
    (folder / "run.json").write_text(json.dumps(state))
    signalled = []
    monkeypatch.setattr(os, "killpg", lambda *given: signalled.append(given))
    described = run.describe()
    assert (described["running"], described["code"]) == (False, None)
    run.stop()
    assert signalled == []
    run.start("ingest")
    until(lambda described: not described["running"])


def test_of_two_starts_at_once_one_is_refused(project, monkeypatch):
    both, started = threading.Barrier(2), []

    class Slow(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            started.append(args)
            time.sleep(0.5)  # in which the other one looks whether a run goes on
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(run.subprocess, "Popen", Slow)

    def start():
        both.wait()
        with suppress(UserError):
            run.start()

    with ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(start) for _ in range(2)]:
            future.result()
    (project / "go").write_text("well")
    until(lambda described: not described["running"])
    assert len(started) == 1


def test_a_run_may_end_early(project):
    run.start("ingest")
    ended = until(lambda described: not described["running"])
    assert states(ended) == {"ingest": "unchanged"}
