"""When stage register has nothing to do."""

import os
import shutil
from pathlib import Path

import challengers
import pytest
from ruamel.yaml import YAML

from pipeline.core import moved_project, tracking
from pipeline.register import last_run

ROOT = Path(__file__).parents[2]
STAGE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["register"]
LIMITS = challengers.LIMITS


def changed(limits=LIMITS):
    return not last_run.unchanged(last_run.inputs(limits))


def remember():
    last_run.remember(last_run.inputs(LIMITS))


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
    remember()
    return tmp_path


def test_nothing_changed(project):
    assert not changed()
    write("src/pipeline/core/__pycache__/one.cpython-311.pyc")
    write("models/other/model.keras")
    assert not changed(), "what the stage does not read is no matter"


@pytest.mark.parametrize("dep", STAGE["deps"])
def test_each_file_that_the_stage_reads_is_seen(project, dep):
    path = Path(dep) if Path(dep).suffix else Path(dep, "below/two.txt")
    write(path, "as it is!")
    assert changed(), "as many bytes, and others"
    remember()
    assert not changed()
    path.unlink()
    if Path(dep).suffix:
        path.mkdir()
    assert changed()


@pytest.mark.parametrize("out", [next(iter(out)) for out in STAGE["outs"]])
def test_what_it_wrote_is_made_again_where_somebody_changed_or_removed_it(project, out):
    kept = Path(out).read_bytes()
    Path(out).unlink()
    assert changed()
    Path(out).write_bytes(kept)
    assert not changed(), "DVC copies outputs before each run"
    write(out, "as it is!")
    assert changed()


def test_whatever_another_program_does_in_the_registry_is_seen(project):
    client = tracking.mlflow().MlflowClient()
    client.search_registered_models()
    assert not changed(), "reading changes nothing"
    for act in (
        lambda: client.create_registered_model("animal"),
        lambda: client.update_registered_model("animal", description="by hand"),
        lambda: client.delete_registered_model("animal"),
    ):
        act()
        assert changed()
        remember()
        assert not changed()


def test_a_registry_that_is_gone_or_cannot_be_seen_into_is_asked(project):
    Path("mlflow.db").rename("away.db")
    assert changed()
    for place in ("away.db", "mlflow.db"):
        if place == "away.db":
            Path("mlflow.db").symlink_to("away.db")
            remember()
        else:
            Path("away.db").replace("mlflow.db")
            remember()
        assert not changed()
        Path(f"{place}-wal").touch()
        assert changed(), "changes may stand beside the database"
        Path(f"{place}-wal").unlink()
        assert not changed()
    Path("mlflow.db").write_text("no database at all")
    remember()
    assert changed(), "the run says what is wrong with it"


def test_a_registry_apart_from_the_runs_is_asked_each_time(project, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{project}/other.db")
        remember()
        assert changed()
    assert changed()


def test_a_tracking_server_is_asked_each_time(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    remember()
    assert changed()


def test_without_a_word_the_registry_is_where_mlflow_has_it(project, monkeypatch):
    ml = tracking.mlflow()
    for address in (None, ""):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address or "")
        if address is None:
            monkeypatch.delenv("MLFLOW_TRACKING_URI")
        remember()
        assert not changed()
        assert Path(moved_project.database(ml.get_tracking_uri())) == project / "mlflow.db"
    write("mlruns/0/meta.yaml")
    assert ml.get_tracking_uri().startswith("file:"), "MLflow goes on with its older files"
    assert changed()


def test_other_packages_are_other_code(project, monkeypatch):
    """A version carries what it needs, with the versions that are installed."""
    write("more/pillow_heif-1.0.dist-info/METADATA")
    monkeypatch.syspath_prepend(str(project / "more"))
    assert changed()
    remember()
    assert not changed()
    Path("more/pillow_heif-1.0.dist-info").rename("more/pillow_heif-1.1.dist-info")
    assert changed()


def test_what_changed_during_the_run_was_not_gone_by(project):
    read = last_run.inputs(LIMITS)
    write("src/pipeline/register/one.txt", "other code")
    last_run.remember(read)
    assert changed()


def test_other_limits_or_another_place_of_the_project_are_seen(project, monkeypatch):
    assert changed(LIMITS.model_copy(update={"min_accuracy": 0.71}))
    moved = project.with_name("moved")
    project.rename(moved)
    monkeypatch.chdir(moved)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{moved}/mlflow.db")
    assert changed(), "MLflow's records hold absolute paths"


def test_records_that_lead_to_a_folder_that_is_gone_are_mended_and_seen(project):
    """A project was copied, ran where it is now, and then the first one was removed."""
    client = tracking.mlflow().MlflowClient()
    first = project.with_name("first")
    (first / "mlruns").mkdir(parents=True)
    Path("mlruns").mkdir()
    moved_project.mend(os.environ["MLFLOW_TRACKING_URI"])  # as any run does
    client.create_experiment("animal", artifact_location=f"{first}/mlruns/1")
    remember()
    assert not changed(), "the first one is there"
    shutil.rmtree(first)
    assert changed()
    mended = client.get_experiment_by_name("animal").artifact_location
    assert mended == f"{project}/mlruns/1"


def test_without_a_pipeline_or_a_last_run_it_is_asked(project):
    Path("dvc.yaml").rename("away.yaml")
    assert changed()
    remember()
    Path("away.yaml").rename("dvc.yaml")
    assert changed(), "nothing could be remembered"
    shutil.rmtree(".cache")
    assert changed()
    Path(".cache").touch()
    remember()
    assert changed(), "what cannot be remembered is no reason to fail"
