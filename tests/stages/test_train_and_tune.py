"""Stages train and tune as `dvc repro` runs them, on small networks and a few pictures."""

import json
import runpy
import shutil
from pathlib import Path

import challengers
import mlflow
import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from train.test_trainer import ROOT, load, small  # noqa: F401

from pipeline.core import atomic, params
from pipeline.networks import keras_setup
from pipeline.train import datasets, metrics, trainer


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """What split, resize and augment wrote: of unequal species, splits and folds."""
    folder = tmp_path_factory.mktemp("project") / "data"
    species = ["red", "green", "blue", "blue", "green", "blue"]
    (folder.parent / ".cache").mkdir()
    load(folder, folder.parent / ".cache", species * 10, species * 3, folds=3)
    table = pd.read_parquet(folder / "split.parquet")
    others = table.tail(5).assign(photo=[f"x{i}" for i in range(5)], split="test", fold=pd.NA)
    atomic.write_table(pd.concat([table, others]), folder / "split.parquet")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return challengers.store(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def project(collection, store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    shutil.copytree(collection, tmp_path / "data")
    (tmp_path / ".cache").symlink_to(collection.parent / ".cache")
    yaml = YAML()
    lines = yaml.load(ROOT / "params.yaml")
    lines["model"] |= {"backbone": "efficientnet_lite0", "dropout": 0.0, "hidden": 0}
    lines["train"] |= {"epochs": 3, "batch_size": 32, "learning_rate": 0.00001, "seed": 4}
    lines["tune"] |= {
        "trials": 3,
        "time_budget": 5,
        "space": {
            "train.learning_rate": {"choices": [0.00001, 0.02, 0.03]},
            "model.hidden": {"choices": [0, 5]},
        },
    }
    with Path("params.yaml").open("w") as file:
        yaml.dump(lines, file)
    return tmp_path


def run(stage: str) -> None:
    runpy.run_path(str(ROOT / f"stages/{stage}.py"))["main"]()


def given(run_id: str) -> pd.DataFrame:
    """The photos that a run says it was given."""
    (dataset,) = mlflow.get_run(run_id).inputs.dataset_inputs
    return json.loads(dataset.dataset.profile)["num_rows"]


def held_out_is_of_train_and_validation(folder: Path) -> None:
    held = pd.read_parquet(folder / "held_out.parquet")
    table = pd.read_parquet("data/split.parquet")
    expected = table[table["split"] != "test"]
    assert sorted(held["photo"]) == sorted(expected["photo"]), "test photos are not to be seen"
    assert dict(zip(held["photo"], held["split"], strict=True)) == dict(
        zip(expected["photo"], expected["split"], strict=True)
    )


class _Stop(Exception):
    pass


@pytest.mark.parametrize("stage", ["train", "tune"])
@pytest.mark.parametrize(
    ("views", "expected"),
    [(False, "efficientnet_lite0+efficientnet_lite2"), (True, "efficientnet_lite2")],
)
def test_auto_is_the_network_for_such_photos(project, monkeypatch, stage, views, expected):
    Path(".cache").unlink()  # what ends here would be gone on with by other tests
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("backbone: efficientnet_lite0", "backbone: auto"))
    monkeypatch.setattr(datasets.TrainingData, "has_views", views)
    trained = []

    def fit(network, *_, **__):
        trained.append(network.backbone)
        raise _Stop

    monkeypatch.setattr(trainer, "fit", fit)
    with pytest.raises(_Stop):
        run(stage)
    assert trained == [expected]


@pytest.mark.slow
def test_train_trains_with_the_params_as_they_stand(project):
    run("train")
    told = json.loads(Path("models/trained/run.json").read_text())
    p = params.load(Path("params.yaml"))
    assert told["train"] == p.train.model_dump()
    assert told["model"] == p.model.model_dump()
    assert given(told["run_id"]) == 78, "83 with the test photos"
    held_out_is_of_train_and_validation(Path("models/trained"))
    assert not list(Path(".cache/checkpoints").glob("*/run_id")), "nothing is left to go on with"


@pytest.mark.slow
def test_the_winner_of_a_search_is_what_is_trained(project):
    run("tune")
    told = json.loads(Path("models/tuned/run.json").read_text())
    best = YAML(typ="safe").load(Path("models/tuned/best.yaml"))
    trials = pd.read_csv("models/tuned/trials.csv")
    p = params.load(Path("params.yaml"))
    expected = {"model": p.model.model_dump(), "train": p.train.model_dump()}
    for section, lines in best.items():
        expected[section] |= lines
    assert len(set(trials["train.learning_rate"])) > 1
    winner = trials.loc[trials["value"].idxmax()]
    assert best["train"]["learning_rate"] == winner["train.learning_rate"]
    assert best["model"]["hidden"] == winner["model.hidden"]
    assert winner["trial"] > 0, "the params as they stand must lose, for this to show anything"
    for section, lines in expected.items():
        assert told[section] == lines, f"{section} of the winner is not what was trained"
    logged = mlflow.get_run(told["run_id"]).data.params
    assert logged["train.learning_rate"] == str(best["train"]["learning_rate"])
    assert given(told["run_id"]) == 78, "83 with the test photos"
    held_out_is_of_train_and_validation(Path("models/tuned"))

    held = pd.read_parquet("models/tuned/held_out.parquet")
    order = {name: at for at, name in enumerate(told["labels"])}
    score = metrics.Score.of(np.stack(held["probabilities"]), held["species"].map(order).to_numpy())
    assert told["validation"]["log_loss"] == pytest.approx(score.log_loss)
    assert told["validation"]["accuracy"] == pytest.approx(score.accuracy)
    assert winner["log_loss"] == pytest.approx(score.log_loss), "what the trial trained"
    epochs_are_logged(told["run_id"])

    kept = weights()
    run("tune")  # the search has ended, and no trial of this process trained anything
    again = json.loads(Path("models/tuned/run.json").read_text())
    assert again["run_id"] != told["run_id"]
    assert again["train"] == told["train"] and again["model"] == told["model"]
    epochs_are_logged(again["run_id"])
    for left, right in zip(kept, weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def weights() -> list[np.ndarray]:
    network = keras_setup.keras().saving.load_model("models/tuned/model.keras")
    return network.get_layer("head").get_weights()


def epochs_are_logged(run_id: str) -> None:
    logged = mlflow.MlflowClient().get_metric_history(run_id, "val_loss")
    history = pd.read_csv("models/tuned/history.csv")
    assert [metric.step for metric in logged] == list(history["epoch"])
    assert [metric.value for metric in logged] == pytest.approx(list(history["val_loss"]))
