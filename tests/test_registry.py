"""The gate as a function, and a registry with real versions in it."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import engine, export, gate, params, registry, tracking

SIZE = 32
LABELS = ["blue", "red"]
CALIBRATION = {"temperature": 1.0, "unknown_below": 0.7, "set_from": 0.1}
LIMITS = params.Register(min_accuracy=0.6, max_drop=0.05)


def version(number: int, labels=LABELS) -> registry.Version:
    return registry.Version(number, list(labels), [], "")


def passed(accuracy, champion=None, rivals=None, labels=LABELS) -> list[bool]:
    return [c.passed for c in gate.judge(accuracy, labels, champion, rivals, 0.6, 0.05)]


def test_the_floor_decides_where_there_is_no_champion():
    assert passed(0.6) == [True, True]
    assert passed(0.59) == [False, True]


def test_a_challenger_may_be_a_little_worse_than_the_champion_and_no_more():
    assert passed(0.9, version(1), (0.85, 0.9, 100)) == [True, True]
    assert passed(0.9, version(1), (0.84, 0.9, 100)) == [True, False]


def test_a_champion_that_has_learned_from_the_test_photos_is_not_compared():
    checks = gate.judge(0.7, LABELS, version(4), None, 0.6, 0.05)
    assert all(check.passed for check in checks)
    assert "has learned from all but under 30" in checks[1].reason


def test_a_champion_that_knows_other_species_cannot_be_compared_and_the_reason_says_so():
    checks = gate.judge(0.7, ["blue", "green"], version(4), None, 0.6, 0.05)
    assert all(check.passed for check in checks)
    assert "version 4" in checks[1].reason
    assert "green, red" in checks[1].reason


def test_the_digest_of_tested_photos_does_not_depend_on_their_order():
    table = pd.DataFrame({"photo": ["a", "b"], "actual": ["blue", "red"]})
    assert registry.photos_digest(table) == registry.photos_digest(table[::-1])
    assert registry.photos_digest(table) != registry.photos_digest(table.assign(actual="red"))


@pytest.fixture(scope="module")
def final(tmp_path_factory):
    """A recogniser that tells red pictures from blue ones, as `models/final`."""
    keras = engine.keras(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    red_minus_blue = np.array([[-0.1, 0.1], [0, 0], [0.1, -0.1]], dtype=np.float32)
    model.layers[-1].set_weights([red_minus_blue, np.zeros(2)])
    folder = tmp_path_factory.mktemp("models")
    model.save(folder / "model.keras")
    litert = export.to_litert(model)
    about = LABELS, "crop", 10**8, CALIBRATION
    export.write(folder / "final", folder / "model.keras", litert, *about)
    return folder / "final"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Forty files, and what was answered to them."""
    root = tmp_path_factory.mktemp("photos")
    rows = []
    for i in range(40):
        name = LABELS[i % 2]
        Image.new("RGB", (40, 50), name).save(root / f"{i}.png")
        rows.append({"photo": f"{i:064x}", "path": f"{i}.png", "actual": name, "predicted": name})
    return root, pd.DataFrame(rows)


def other_content(final, folder, labels):
    """The same network under other labels: another version, as right as they are."""
    export.write(
        folder,
        final / "model.keras",
        (final / "model.tflite").read_bytes(),
        labels,
        "crop",
        10**8,
        CALIBRATION,
    )
    return folder


def test_registration_promotion_and_the_gate_in_a_real_registry(
    final, photos, tmp_path, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    root, table = photos
    with tracking.run("train") as run:
        metrics = {"test": {"accuracy": 1.0}, "run_id": run.info.run_id}

    learned = pd.DataFrame({"photo": ["c" * 64, "d" * 64], "split": ["train", "validation"]})

    def decide(folder, accuracy, predictions=table, split=learned):
        tested = {**metrics, "test": {"accuracy": accuracy}}
        return gate.decide(folder, tested, predictions, split, root, LIMITS)

    def serving():
        client = tracking.mlflow().MlflowClient()
        found = client.search_model_versions("name='animal'")
        staged = [int(v.version) for v in found if v.current_stage == "Production"]
        assert staged == [registry.champion().number]  # stage and alias agree
        return staged[0], len(found)

    first = decide(final, 1.0)
    assert first["promoted"]
    assert serving() == (1, 1)

    again = decide(final, 1.0)
    assert again["outcome"] == "serves already; nothing to do"
    assert again["checks"] == first["checks"]
    assert serving() == (1, 1)

    swapped = other_content(final, tmp_path / "swapped", LABELS[::-1])
    wrong = table.assign(predicted=table["actual"].map({"blue": "red", "red": "blue"}))
    worse = decide(swapped, 0.8, wrong, table[:8].assign(split="train"))
    assert not worse["promoted"]
    assert "0.0000 is worse than 1.0000 of the champion, version 1" in worse["checks"][1]["reason"]
    assert "on the same 40 photos" in worse["checks"][1]["reason"]
    assert serving() == (1, 2)

    monkeypatch.setattr(registry, "compare", None)  # testing again would call it
    assert decide(swapped, 0.8, wrong)["checks"] == worse["checks"]
    monkeypatch.undo()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)

    # The champion is tested from the files: it errs where the labels are others now.
    renamed = wrong.assign(actual=table["actual"].where(table.index >= 10, "blue"))
    right = float((renamed["actual"] == table["actual"]).mean())
    compared = decide(swapped, 0.8, renamed)
    assert compared["checks"][1]["limit"] == pytest.approx(right - LIMITS.max_drop)
    assert compared["outcome"].startswith("was registered before")

    others = other_content(final, tmp_path / "others", ["bird", "fish"])
    incomparable = decide(others, 0.7)
    assert incomparable["promoted"]
    assert "knows other species" in incomparable["checks"][1]["reason"]
    assert serving() == (3, 3)

    loaded = tracking.mlflow().pyfunc.load_model("models:/animal/Production")
    answer = loaded.predict(pd.DataFrame({"image": [(root / "0.png").read_bytes()]}))
    assert answer["species"].tolist() == ["bird"]
    kept = tracking.mlflow().artifacts.download_artifacts("models:/animal/Production")
    assert json.loads((tmp_path / "others/labels.json").read_text())["labels"] == ["bird", "fish"]
    assert "data/model.keras" in {
        str(p.relative_to(kept)) for p in __import__("pathlib").Path(kept).rglob("*.keras")
    }
