import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from pipeline.core import tracking

# Dies, as by a kill, while MLflow's tables are made.
KILLED = """
import os, signal, sqlalchemy
from pipeline.core import tracking

made = []

def count(*_):
    made.append(1)
    if len(made) == 250:
        os.kill(os.getpid(), signal.SIGKILL)

sqlalchemy.event.listen(sqlalchemy.engine.Engine, "after_cursor_execute", count)
with tracking.run("train"):
    pass
"""


@pytest.mark.slow
def test_a_kill_while_the_database_is_made_leaves_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not list(tmp_path.iterdir())
    with tracking.run("train") as run:
        tracking.mlflow().log_metric("loss", 0.25)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
    with closing(sqlite3.connect("mlflow.db")) as records:
        rows = records.execute("SELECT run_uuid, key, value FROM metrics").fetchall()
    assert rows == [(run.info.run_id, "loss", 0.25)]
