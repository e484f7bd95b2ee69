import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import challengers
import pytest
from mlflow.exceptions import MlflowException

from pipeline.core import errors, tracking

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


@pytest.fixture
def database(tmp_path, monkeypatch):
    """MLflow's records in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", challengers.store(tmp_path))


def test_a_run_exists_until_it_is_deleted(database):
    with tracking.run("train") as run:
        pass
    assert tracking.exists(run.info.run_id)
    tracking.mlflow().delete_run(run.info.run_id)
    for gone in (run.info.run_id, "0" * 32, ""):
        assert not tracking.exists(gone)


@pytest.mark.parametrize("trained", [True, False])
def test_the_champions_params_are_those_of_its_run(database, trained):
    """A version may have been registered of a run that was deleted since, or of none."""
    assert tracking.champion_params() == {}
    with tracking.run("train") as run:
        tracking.mlflow().log_params({"train.dropout": 0.25, "model.hidden": 64})
    client = tracking.mlflow().MlflowClient()
    client.create_registered_model("animal")
    client.create_model_version("animal", "here", run.info.run_id if trained else None)
    client.set_registered_model_alias("animal", "champion", "1")
    expected = {"train.dropout": 0.25, "model.hidden": 64} if trained else {}
    assert tracking.champion_params() == expected


@pytest.mark.parametrize("call", [tracking.champion_params, lambda: tracking.exists("0" * 32)])
def test_a_tracking_server_that_is_gone_is_not_one_that_has_nothing(monkeypatch, call):
    """Or a search would begin without what the champion knows, and nobody would be told."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(MlflowException, match=r"127\.0\.0\.1"):
        call()
    with pytest.raises(SystemExit, match=r"MLFLOW_TRACKING_URI\) ended or cannot be reached"):
        errors.run(call)
