"""A project folder that was moved or renamed after versions were registered in it."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import challengers
import pandas as pd
import pytest

from pipeline.core import moved_project, tracking
from pipeline.inference import checksums
from pipeline.register import packaging, promotion
from pipeline.register import versions as registry


@pytest.fixture
def moved(tmp_path, monkeypatch):
    """A project with a run's file and a version, after it was renamed."""
    old, new = tmp_path / "my project", tmp_path / "renamed"
    old.mkdir()
    monkeypatch.chdir(old)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", challengers.store(old))
    (old / "note.txt").write_text("a note")
    with tracking.run("train") as run:
        tracking.mlflow().log_artifact("note.txt")
    final = challengers.network(tmp_path / "final")
    ml = tracking.mlflow()
    (tmp_path / "about").mkdir()
    info = ml.models.Model.log(
        artifact_path=None,
        flavor=packaging.Flavors,
        flavor_name="python_function",
        name=registry.NAME,
        run_id=run.info.run_id,
        folder=final,
        learned_from=pd.Series(["a" * 64]),
        about=tmp_path / "about",
    )
    sums = ml.artifacts.download_artifacts(f"{info.artifact_path}/{checksums.SUMS}")
    tags = {"files_sha256": checksums.sha256(Path(sums)), "labels": "[]"}
    promotion.promote(registry.create(info, tags, ""), "", "hand", 0)
    old.rename(new)
    monkeypatch.chdir(new)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{new}/mlflow.db")
    return old, new, run.info.run_id


@pytest.mark.slow
def test_versions_load_and_runs_are_written_where_the_project_is_now(moved):
    old, new, run_id = moved
    assert moved_project.mend(f"sqlite:///{new}/mlflow.db") > 0
    with closing(sqlite3.connect(new / "mlflow.db")) as records:
        lines = [line for line in records.iterdump() if f"{old}/mlruns" in line]
    assert not lines, "these still lead to the old folder"
    located = registry.locate("Production")
    assert located.recogniser.is_relative_to(new)
    assert (located.recogniser / "model.tflite").is_file()
    ml = tracking.mlflow()
    assert ml.pyfunc.load_model("models:/animal/Production").metadata.get_input_schema()
    # MLflow remembers in a process where a run's files are, so this is another one.
    code = f"""
from pipeline.core import tracking
with tracking.run("register", run_id={run_id!r}):
    tracking.mlflow().log_artifact("note.txt", "again")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    files = {file.path for file in ml.MlflowClient().list_artifacts(run_id)}
    assert files == {"note.txt", "again"}
    assert not old.exists(), "something was written where the project was before"


def test_nothing_is_changed_where_nothing_moved_or_the_old_folder_is_still_there(moved):
    old, new, _ = moved
    uri = f"sqlite:///{new}/mlflow.db"
    (old / "mlruns").mkdir(parents=True)
    assert moved_project.mend(uri) == 0
    (old / "mlruns").rmdir()
    assert moved_project.mend(uri) > 0
    assert moved_project.mend(uri) == 0
    assert moved_project.mend(f"sqlite:///{new}/none.db") == 0
    assert not (new / "none.db").exists()
