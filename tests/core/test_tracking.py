import hashlib
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from unittest.mock import Mock

import challengers
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from pyarrow import parquet

from pipeline.core import atomic, errors, tracking

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


def write_manifest(photo: str, origin: str) -> str:
    """Makes the manifest another one; gives its sha256."""
    file = Path("data/ingested/manifest.parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_table(pd.DataFrame({"photo": [photo], "origin": [origin]}), file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_tags_of_a_run_are_those_of_the_photos_as_they_are_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tracking.tags("tune") == {"stage": "tune"}
    for photo, origin, drawn in (("a", "drawn", "True"), ("b", "folder", "False")):
        digest = write_manifest(photo, origin)
        found = tracking.tags("train")
        assert found == {"stage": "train", "manifest_sha256": digest, "drawn": drawn}


def test_trials_of_a_search_do_not_read_all_again(tmp_path, monkeypatch):
    """A manifest of a hundred thousand photos, and git, cost each of them seconds."""
    monkeypatch.chdir(tmp_path)
    write_manifest("a", "drawn")
    subprocess.run(["git", "init", "-q"], check=True)
    commit = ["git", "-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "--allow-empty"]
    subprocess.run([*commit, "-m", "first"], check=True)
    calls = Mock(wraps=subprocess.run)
    monkeypatch.setattr(subprocess, "run", calls)
    first = tracking.tags("tune")
    assert (first["drawn"], first["git_dirty"], len(first["git_commit"])) == ("True", "False", 40)
    monkeypatch.setattr(parquet, "read_table", Mock(side_effect=AssertionError("read again")))
    calls.reset_mock()
    assert tracking.tags("tune") == first
    assert not calls.called


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
