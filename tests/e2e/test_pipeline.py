"""All eight stages on one small collection, and DVC's and MLflow's view of them."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from pipeline.core import tracking
from pipeline.dataset.shards import Shards
from pipeline.inference.litert import Network

pytestmark = pytest.mark.slow

PLACES = {  # where a stage writes as long as it runs
    "ingest": ("data/ingested", ".cache/inspections"),
    "resize": ("data/resized", ".cache/resized"),
    "augment": ("data/augmented",),
}


def digests(project) -> dict[str, str]:
    """The content of each file of the data, of those that a killed stage leaves too."""
    files = sorted(path for path in (project.folder / "data").rglob("*") if path.is_file())
    return {
        str(file.relative_to(project.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def killed(project, stage: str) -> None:
    """Takes away what a stage wrote, and kills it once it has begun to write again."""
    places = [project.folder / place for place in PLACES[stage]]
    for place in places:
        shutil.rmtree(place)
    begun = [(place.parent, f"*{place.name}*/**/*") for place in places]
    project.kill(stage, lambda: any(f.is_file() for top, name in begun for f in top.glob(name)))


def registry(project):
    """Opens the project's MLflow here: a process that only imports it takes seconds."""
    database = f"sqlite:///{project.folder / 'mlflow.db'}"
    return tracking.mlflow().MlflowClient(tracking_uri=database, registry_uri=database)


def versions(project) -> list[dict]:
    client = registry(project)
    champion = client.get_model_version_by_alias("animal", "champion").version
    return [
        {"number": int(v.version), "stage": v.current_stage, "champion": v.version == champion}
        for v in client.search_model_versions("name='animal'")
    ]


def weights(project) -> list[np.ndarray]:
    import keras

    return keras.saving.load_model(project.folder / "models/trained/model.keras").get_weights()


def test_all_stages_write_what_they_promise(project):
    for name in ("model.keras", "model.tflite", "labels.json"):
        assert (project.folder / "models/final" / name).stat().st_size > 0
    metrics = json.loads((project.folder / "reports/metrics.json").read_text())
    assert metrics["test"]["accuracy"] > 0.5  # four species: chance is 0.25
    assert metrics["keras_and_litert"]["same_label"] == metrics["test"]["photos"]
    counts = pd.read_csv(project.folder / "reports/ingest/counts.csv")
    assert counts["files"].sum() == 4 * 24 + 2 + 2 + 1
    assert counts["exact_duplicate"].sum() == 2
    assert counts["truncated"].sum() == 1
    trials = pd.read_csv(project.folder / "models/tuned/trials.csv")
    assert len(trials) == 3
    assert versions(project) == [{"number": 1, "stage": "Production", "champion": True}]


def test_with_nothing_changed_only_register_runs_and_it_touches_nothing(project):
    project.repro()  # so that DVC, not this process, has run it
    kept = ("mlflow.db", "reports/registration.json", ".cache/stage_seconds.json")
    before = [(project.folder / name).read_bytes() for name in kept]
    printed = project.run("dvc", "repro")
    assert project.stages_of(printed) == ["register"]
    assert "nothing has changed since the last run:\nversion 1: " in printed
    assert "  passed: test accuracy: " in printed
    assert [(project.folder / name).read_bytes() for name in kept] == before


def test_what_another_program_did_in_the_registry_is_put_right_and_nothing_registered(project):
    registry(project).transition_model_version_stage("animal", "1", "None")
    assert project.repro() == ["register"]
    assert versions(project) == [{"number": 1, "stage": "Production", "champion": True}]
    decision = json.loads((project.folder / "reports/registration.json").read_text())
    assert decision["outcome"] == "serves already; nothing to do"
    names = [check["name"] for check in decision["checks"]]
    assert {"accuracy", "latency", "answers", "champion"} <= set(names)


def test_runs_trials_data_and_reports_are_in_mlflow(project):
    client = registry(project)
    runs = client.search_runs([client.get_experiment_by_name("animal").experiment_id])
    named = {run.info.run_name: run for run in runs}
    assert set(named) == {"train", "tune", "trial 0", "trial 1", "trial 2"}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert named["trial 1"].data.tags["mlflow.parentRunId"]
    for run in (named["train"], named["tune"]):
        assert run.inputs.dataset_inputs[0].dataset.name == "photos"
        assert len(run.data.tags["manifest_sha256"]) == 64
        assert "val_accuracy" in run.data.metrics
        assert run.data.params["model.backbone"].startswith("efficientnet_lite")
    (tested,) = (run for run in runs if "test_accuracy" in run.data.metrics)
    artifacts = client.list_artifacts(tested.info.run_id)
    assert [artifact.path for artifact in artifacts] == ["models", "reports"]


def test_dvc_shows_metrics_and_plots(project):
    assert "test.accuracy" in project.run("dvc", "metrics", "show")
    project.run("dvc", "plots", "show")
    assert (project.folder / "dvc_plots/index.html").exists()


def test_the_keras_model_loads_from_the_registry_and_agrees_with_what_is_served(
    project, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder / 'mlflow.db'}")
    pictures = Shards(project.folder / "data/resized").take(range(20))
    model = tracking.mlflow().keras.load_model("models:/animal/Production")
    served = Network((project.folder / "models/final/model.tflite").read_bytes())(pictures)
    np.testing.assert_allclose(model(pictures).numpy(), served, rtol=0, atol=1e-3)


def test_after_kills_and_with_fewer_workers_the_same_inputs_give_the_same_bytes_and_weights(
    project,
):
    before, trained = digests(project), weights(project)
    for stage in ("ingest", "resize", "split", "augment"):
        project.set(**{"parallel.jobs": 2})
        if stage in PLACES:
            killed(project, stage)
        project.set(**{"parallel.jobs": 1})
        project.stage(stage)
    assert digests(project) == before
    checkpoints = project.folder / ".cache/checkpoints"
    project.kill("train", lambda: list(checkpoints.glob("*/state.npz")))
    (run_id,) = (path.read_text() for path in checkpoints.glob("*/run_id"))
    project.stage("train")
    run = json.loads((project.folder / "models/trained/run.json").read_text())
    assert run["run_id"] == run_id
    assert not list(checkpoints.iterdir())
    for left, right in zip(trained, weights(project), strict=True):
        np.testing.assert_array_equal(left, right)
    project.set(**{"parallel.jobs": 2})
    project.run("dvc", "commit", "--force")


def test_another_split_leaves_ingest_and_resize_alone(project):
    project.set(**{"split.seed": 1})
    project.stage("split")
    stale = json.loads(project.run("dvc", "status", "--json", "train", "--with-deps"))
    project.set(**{"split.seed": 0})
    project.stage("split")
    assert set(stale) == {"split", "augment", "train"}
    assert {"changed deps": {"params.yaml": {"split": "modified"}}} in stale["split"]
    for later in ("augment", "train"):
        assert {"changed deps": {"data/split.parquet": "modified"}} in stale[later]


def test_a_mistake_in_the_params_is_one_sentence(project):
    project.set(**{"resize.fit": "squash"})
    done = subprocess.run(
        ["dvc", "repro"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    project.set(**{"resize.fit": "crop"})
    assert done.returncode != 0
    assert "resize.fit is 'squash'; it should be 'crop', 'pad' or 'stretch'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_an_archive_and_a_recipe_of_the_same_photos_give_the_same_manifest(
    project, tmp_path
):
    photos = tmp_path / "photos"
    shutil.copytree(project.folder / "data/ingested/files", photos)
    archive = shutil.make_archive(str(tmp_path / "photos"), "gztar", tmp_path, "photos")
    manifest = project.folder / "data/ingested/manifest.parquet"
    drawn = pd.read_parquet(manifest)
    assert set(drawn["origin"]) == {"drawn"}
    written = []
    for source in (str(photos), archive):
        project.set(**{"ingest.source": source})
        project.stage("ingest")
        written.append(manifest.read_bytes())
        found = pd.read_parquet(manifest)
        pd.testing.assert_frame_equal(found.drop(columns="origin"), drawn.drop(columns="origin"))
    assert written[0] == written[1]
    project.set(**{"ingest.source": "small.yaml"})
    project.stage("ingest")
    pd.testing.assert_frame_equal(pd.read_parquet(manifest), drawn)
