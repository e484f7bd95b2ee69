"""When stage register has nothing to do."""

import os
import shutil
from pathlib import Path

import challengers
import pytest
from ruamel.yaml import YAML

from pipeline.core import tracking
from pipeline.register import last_run

ROOT = Path(__file__).parents[2]
STAGE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["register"]
LIMITS = challengers.LIMITS


def write(path, content="as it was"):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder as the stage leaves it: a file for each that it lists, two in a folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", challengers.store(tmp_path))
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    for dep in map(Path, STAGE["deps"]):
        for path in [dep] if dep.suffix else [dep / "one.txt", dep / "below/two.txt"]:
            write(path)
    for out in STAGE["outs"]:
        write(next(iter(out)))
    last_run.remember(LIMITS)
    return tmp_path


def test_nothing_changed(project):
    assert not last_run.changed(LIMITS)
    write("src/pipeline/core/__pycache__/one.cpython-311.pyc")
    write("models/other/model.keras")
    assert not last_run.changed(LIMITS), "what the stage does not read is no matter"


@pytest.mark.parametrize("dep", STAGE["deps"])
def test_each_file_that_the_stage_reads_is_seen(project, dep):
    path = Path(dep) if Path(dep).suffix else Path(dep, "below/two.txt")
    write(path, "as it is!")
    assert last_run.changed(LIMITS), "as many bytes, and others"
    last_run.remember(LIMITS)
    assert not last_run.changed(LIMITS)
    path.unlink()
    if Path(dep).suffix:
        path.mkdir()
    assert last_run.changed(LIMITS)


@pytest.mark.parametrize("out", [next(iter(out)) for out in STAGE["outs"]])
def test_what_it_wrote_is_made_again_where_somebody_changed_or_removed_it(project, out):
    kept = Path(out).read_bytes()
    Path(out).unlink()
    assert last_run.changed(LIMITS)
    Path(out).write_bytes(kept)
    assert not last_run.changed(LIMITS), "DVC copies outputs before each run"
    write(out, "as it is!")
    assert last_run.changed(LIMITS)


def test_whatever_another_program_does_in_the_registry_is_seen(project):
    client = tracking.mlflow().MlflowClient()
    client.search_registered_models()
    assert not last_run.changed(LIMITS), "reading changes nothing"
    size = Path("mlflow.db").stat().st_size
    for act in (
        lambda: client.create_registered_model("animal"),
        lambda: client.update_registered_model("animal", description="by hand"),
        lambda: client.delete_registered_model("animal"),
    ):
        act()
        assert last_run.changed(LIMITS)
        last_run.remember(LIMITS)
        assert not last_run.changed(LIMITS)
    assert Path("mlflow.db").stat().st_size == size, "so the size alone would show none of it"


def test_a_registry_that_is_gone_or_cannot_be_seen_into_is_asked(project, monkeypatch):
    Path("mlflow.db-wal").touch()
    assert last_run.changed(LIMITS), "changes may stand beside the database"
    Path("mlflow.db-wal").unlink()
    Path("mlflow.db").rename("away.db")
    assert last_run.changed(LIMITS)
    Path("away.db").rename("mlflow.db")
    assert not last_run.changed(LIMITS)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_REGISTRY_URI", os.environ["MLFLOW_TRACKING_URI"])
        assert last_run.changed(LIMITS)
    for elsewhere in ("http://127.0.0.1:9", f"sqlite:///{project}/other.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
        assert last_run.changed(LIMITS)


def test_a_registry_apart_from_the_runs_is_asked_each_time(project, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{project}/other.db")
        last_run.remember(LIMITS)
    assert last_run.changed(LIMITS)


def test_a_tracking_server_is_asked_each_time(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    last_run.remember(LIMITS)
    assert last_run.changed(LIMITS)


def test_other_limits_or_another_place_of_the_project_are_seen(project, monkeypatch):
    assert last_run.changed(LIMITS.model_copy(update={"min_accuracy": 0.71}))
    moved = project.with_name("moved")
    project.rename(moved)
    monkeypatch.chdir(moved)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{moved}/mlflow.db")
    assert last_run.changed(LIMITS), "MLflow's records hold absolute paths"


def test_without_a_pipeline_or_a_last_run_it_is_asked(project):
    Path("dvc.yaml").rename("away.yaml")
    assert last_run.changed(LIMITS)
    last_run.remember(LIMITS)
    Path("away.yaml").rename("dvc.yaml")
    assert last_run.changed(LIMITS), "nothing could be remembered"
    shutil.rmtree(".cache")
    assert last_run.changed(LIMITS)
