"""Several processes on one study in a real PostgreSQL database, one of them killed."""

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import challengers
import optuna
import pytest

from pipeline.core import params
from pipeline.tune import search
from pipeline.tune import study as studies

TRIALS = 16
# Imports take longer than all trials, so the processes begin as one.
SEARCH = """
import os, sys, time
import pandas as pd
from pathlib import Path
from pipeline.core import params
from pipeline.tune import study
from pipeline.core import tracking
from pipeline.train import trainer
from pipeline.tune import search
from pipeline.train.metrics import Score

class Trained:
    def __init__(self, rate):
        self.validation = Score(100, 1 - abs(rate - 0.003) * 50, 0.01, rate)
        self.feature_seconds = 0.0
        self.held_out = pd.DataFrame({"photo": range(100), "right": [True] * 100})

def fit(model, train, data, on_epoch, deadline):
    on_epoch(0, {"val_accuracy": 0.5, "loss": 1.0})
    time.sleep(0.5)
    return Trained(train.learning_rate)

def work():
    p = params.load(Path("params.yaml"))
    opened = study.open_study(p, "digest", Path("studies"))
    print("opened", flush=True)
    search.search(opened, p, None)
    print("best", search.best(opened, p).number, flush=True)

trainer.fit = fit
tracking.mlflow()
for folder in sys.argv[1:]:
    if (pid := os.fork()) == 0:
        os.chdir(folder)
        os.dup2(os.open("printed", os.O_WRONLY | os.O_CREAT), 1)
        work()
        os._exit(0)
    print(pid, flush=True)
for _ in sys.argv[1:]:
    os.wait()
"""


def _bin() -> Path | None:
    """Where PostgreSQL's programs are."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@pytest.fixture
def database():
    """A PostgreSQL server of this test's own, reached through a socket in its folder."""
    programs = _bin()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed")
    # Not below tmp_path: pytest lets nobody else in there, and a socket's path may not be long.
    folder, user = Path(tempfile.mkdtemp()), None
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        user = "postgres"
        os.chown(folder, *pwd.getpwnam(user)[2:4])

    def run(*command):
        done = subprocess.run(command, user=user, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    run(programs / "initdb", "-D", "data", "-A", "trust", "-U", "animal", "--no-sync")
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    run(programs / "pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")
    try:
        yield f"postgresql+psycopg://animal@/postgres?host={folder}"
    finally:
        run(programs / "pg_ctl", "-D", "data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


def printed(folder: Path) -> str:
    return (folder / "printed").read_text()


@pytest.mark.slow
def test_four_processes_finish_one_study_though_one_is_killed(database, tmp_path, request):
    written = (request.config.rootpath / "params.yaml").read_text()
    written = written.replace("storage: local ", f"storage: {database} ")
    written = re.sub(r"trials: \d+", f"trials: {TRIALS}", written)
    written = written.replace("backbone: auto", "backbone: efficientnet_lite0")
    written = re.sub(r"stop_below: [\d.]+", "stop_below: 0", written)
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
        (folder / "params.yaml").write_text(written)
        challengers.store(folder)
    command = [sys.executable, "-c", SEARCH, *folders]
    processes = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    pids = [int(processes.stdout.readline()) for _ in folders]
    p = params.load(tmp_path / "0/params.yaml")
    assert p.tune.trials == TRIALS
    while not (folders[0] / "printed").exists() or "opened\n" not in printed(folders[0]):
        assert processes.poll() is None
        time.sleep(0.1)
    study = studies.open_study(p, "digest", tmp_path)
    while not any(trial.state.is_finished() for trial in study.trials):
        assert processes.poll() is None
        time.sleep(0.1)
    time.sleep(1)  # all are at work
    os.kill(pids[3], signal.SIGKILL)

    assert processes.wait(timeout=120) == 0
    told = [printed(folder).splitlines()[-1] for folder in folders[:3]]
    trials = study.trials
    best = search.best(study, p)
    assert told == [f"best {best.number}"] * 3
    states = [trial.state for trial in trials]
    assert states.count(optuna.trial.TrialState.RUNNING) == 0
    assert states.count(optuna.trial.TrialState.COMPLETE) == TRIALS
    tried = [tuple(t.params.values()) for t in trials if t.state.name == "COMPLETE"]
    # Of two that saw the last place free one began no run: it had no place. Nor does it matter what
    # a trial had drawn that was killed before its run began.
    begun = [t for t in trials if t.state.name == "FAIL" and studies.RUN in t.user_attrs]
    lost = [tuple(t.params.values()) for t in begun]
    assert len(set(tried)) == len(tried)
    assert set(lost) <= set(tried)
