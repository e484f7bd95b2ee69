"""Who gets past the gate: made challengers, each good or bad in its own way, in a real registry."""

import json
import shutil
from dataclasses import replace

import challengers
import numpy as np
import pandas as pd
import pytest
from challengers import LABELS, LIMITS

from pipeline import audit, champions, gate, integrity, outputs, packaging, registry, tracking
from pipeline.errors import UserError


def test_the_bootstrap_knows_how_far_a_mean_may_be_off():
    """Of a mean of n values its standard error is their standard deviation over the root of n."""
    values = np.random.default_rng(1).choice([-1.0, 0.0, 1.0], 400, p=[0.05, 0.85, 0.1])
    means = gate.bootstrap(values, np.arange(400))
    assert means.mean() == pytest.approx(values.mean(), abs=0.002)
    assert means.std() == pytest.approx(values.std() / 20, rel=0.05)


def test_near_duplicates_do_not_count_as_so_many_photos():
    values = np.repeat(np.random.default_rng(1).choice([-1.0, 1.0], 100), 4)
    alone, grouped = (
        gate.bootstrap(values, np.arange(400)),
        gate.bootstrap(values, np.arange(400) // 4),
    )
    assert grouped.std() == pytest.approx(2 * alone.std(), rel=0.1)


def test_two_that_answer_alike_differ_in_no_draw():
    assert not gate.bootstrap(np.zeros(50), np.arange(50)).any()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    return root, challengers.pictures(root)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """`models/final` of several networks, by what is special about each."""
    folder = tmp_path_factory.mktemp("networks")
    good = challengers.network(folder / "good")
    return {
        "good": good,
        "worse": challengers.network(folder / "worse", green=0.01),
        "unsure": challengers.network(folder / "unsure", sure=0.0005),
        "slow": challengers.network(folder / "slow", slow=True),
        "others": challengers.relabelled(folder / "others", good, ("bird", "fish")),
    }


@pytest.fixture(scope="module")
def crowned(photos, networks, tmp_path_factory):
    """A registry where the good network serves as version 1."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        data(folder, "first")
        root, test = photos
        first = gate.decide(challengers.tested(networks["good"], test, root), LIMITS)
        assert first["outcome"] == "registered; promoted to Production"
    return folder


def data(folder, name: str) -> None:
    """Makes the manifest another one."""
    (folder / "data/ingested").mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"photo": [name], "origin": ["drawn"]})
    outputs.write_table(rows, folder / "data/ingested/manifest.parquet")


@pytest.fixture
def home(crowned, tmp_path, monkeypatch):
    """A copy of that registry for one test; the files of version 1 are shared."""
    shutil.copytree(crowned, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return tmp_path


def serving() -> int:
    """The version that serves; stage and alias must agree on it."""
    staged = [v.number for v in registry.versions() if v.stage == "Production"]
    assert staged == [registry.champion().number]
    return staged[0]


def failed(decision: dict) -> dict[str, str]:
    """The reasons of the checks that failed, once the model was seen to be kept out."""
    assert not decision["promoted"]
    assert serving() == 1
    version = registry.get(decision["version"])
    assert version.stage == "Staging"
    assert version.checks == decision["checks"]
    reasons = {c["name"]: c["reason"] for c in decision["checks"] if not c["passed"]}
    for name, reason in reasons.items():
        assert version.tags[f"gate.{name}"] == f"FAILED: {reason}"
    assert audit.read()[-1].why == "; ".join(reasons.values())
    return reasons


def test_the_first_model_serves_once_it_reaches_the_floors(home, photos, networks):
    assert serving() == 1
    version = registry.get(1)
    names = [check["name"] for check in version.checks]
    assert names == [
        "files",
        "accuracy",
        "macro_f1",
        "worst_recall",
        "calibration",
        "latency",
        "size",
        "parity",
        "answers",
        "data",
        "champion",
    ]
    again = gate.decide(challengers.tested(networks["good"], photos[1], photos[0]), LIMITS)
    assert again["outcome"] == "serves already; nothing to do"
    assert again["checks"] == version.checks
    assert len(registry.versions()) == 1


def test_a_version_carries_all_that_one_may_ask_of_it_later(home):
    version = registry.get(1)
    folder = registry.folder(version)
    about = {path.name for path in (folder / "about").iterdir()}
    assert about == {
        "licences.csv",
        "metrics.json",
        "model_card.md",
        "per_species.csv",
        "software.json",
    }
    assert "mlflow" in json.loads((folder / "about/software.json").read_text())
    card = (folder / "about/model_card.md").read_text()
    assert "| drawn | CC0-1.0 | 301 |" in card
    assert "drawn by code: this says nothing about real photos" in card
    assert registry.client().get_model_version("animal", "1").description == card
    listed = (folder / integrity.SUMS).read_text()
    for name in ("model.tflite", "data/model.keras", "python_env.yaml", "about/model_card.md"):
        assert name in listed
    assert version.tags["by"] == tracking.who()
    assert float(version.tags["accuracy"]) == 0.9
    assert {"manifest_sha256", "files_sha256", "content", "tested_on"} <= set(version.tags)


def test_a_model_that_is_three_points_worse_stays_out(home, photos, networks):
    worse = challengers.tested(networks["worse"], photos[1], photos[0])
    reasons = failed(gate.decide(worse, LIMITS))
    assert set(reasons) == {"champion"}
    assert "accuracy 0.8667 against 0.9000 of the champion, version 1" in reasons["champion"]
    assert "does not show that it is not worse by over 0.02" in reasons["champion"]


def test_a_decided_case_is_not_tested_again_and_another_one_is(home, photos, networks, monkeypatch):
    worse = challengers.tested(networks["worse"], photos[1], photos[0])
    first = gate.decide(worse, LIMITS)
    with monkeypatch.context() as patch:
        patch.setattr(gate, "judge", None)  # testing again would call it
        assert gate.decide(worse, LIMITS)["checks"] == first["checks"]
    assert [entry.what for entry in audit.read()] == ["promoted", "kept out"]

    # Other test photos: those where the worse one errs are gone, so it is as good.
    easy = photos[1][photos[1]["path"] != "yellow.png"]
    second = gate.decide(challengers.tested(networks["worse"], easy, photos[0]), LIMITS)
    assert second["promoted"]
    assert second["outcome"] == "was registered before; promoted to Production"


def test_a_model_whose_probabilities_are_off_stays_out(home, photos, networks):
    unsure = challengers.tested(networks["unsure"], photos[1], photos[0])
    reasons = failed(gate.decide(unsure, LIMITS))
    assert set(reasons) == {"calibration"}
    assert "expected calibration error: 0.33" in reasons["calibration"]


def test_a_model_that_is_too_slow_or_too_large_stays_out(home, photos, networks):
    slow = challengers.tested(networks["slow"], photos[1], photos[0])
    reasons = failed(gate.decide(slow, LIMITS))
    assert set(reasons) == {"latency", "size"}
    assert "median ms of a picture on one core" in reasons["latency"]


def test_a_model_with_swapped_labels_stays_out(home, photos, networks, tmp_path):
    swapped = challengers.relabelled(tmp_path / "swapped", networks["good"], LABELS[::-1])
    reasons = failed(gate.decide(challengers.tested(swapped, photos[1], photos[0]), LIMITS))
    assert {"accuracy", "macro_f1", "worst_recall", "champion"} <= set(reasons)
    assert "accuracy 0.1000 against 0.9000" in reasons["champion"]

    # Swapped after it was tested well: the numbers shine, and the answers tell.
    tested = challengers.tested(networks["good"], photos[1], photos[0])
    reasons = failed(
        gate.decide(replace(tested, folder=swapped), LIMITS.model_copy(update={"max_drop": 0.5}))
    )
    assert set(reasons) == {"answers"}
    assert "as evaluated on 0 of 300 test photos" in reasons["answers"]


def test_a_model_with_a_tampered_file_stays_out_and_is_not_run(
    home, photos, networks, tmp_path, monkeypatch
):
    tampered = shutil.copytree(networks["worse"], tmp_path / "tampered")
    challenger = challengers.tested(networks["worse"], photos[1], photos[0])
    network = bytearray((tampered / "model.tflite").read_bytes())
    network[-1] ^= 1
    (tampered / "model.tflite").write_bytes(network)
    monkeypatch.setattr(gate.rehearsal, "version", None)
    reasons = failed(gate.decide(replace(challenger, folder=tampered), LIMITS))
    assert set(reasons) == {"files"}
    assert "model.tflite was altered" in reasons["files"]


def test_a_tampered_champion_is_neither_compared_nor_loaded(home, photos, networks):
    worse = challengers.tested(networks["worse"], photos[1], photos[0])
    gate.decide(worse, LIMITS)
    second = registry.get(2)
    labels = registry.folder(second) / "artifacts/recogniser/labels.json"
    labels.write_text(labels.read_text().replace("red", "rad"))
    with pytest.raises(
        UserError, match=r"version 2 is not what was registered: .*labels\.json was alt"
    ):
        registry.folder(second)
    with pytest.raises(Exception, match=r"labels\.json was altered"):
        tracking.mlflow().pyfunc.load_model("models:/animal/2")


def test_older_data_stays_out_and_better_goes_in_and_rollback_brings_the_former_answers_back(
    home, photos, networks
):
    root, test = photos
    data(home, "second")
    worse = challengers.tested(networks["worse"], test, root)
    second = gate.decide(worse, LIMITS.model_copy(update={"max_drop": 0.5}))
    assert second["promoted"]

    def answer() -> str:
        model = tracking.mlflow().pyfunc.load_model("models:/animal/Production")
        images = pd.DataFrame({"image": [(root / "yellow.png").read_bytes()]})
        return model.predict(images).to_json()

    former = answer()
    data(home, "first")
    unsure = challengers.tested(networks["unsure"], test, root)
    loose = LIMITS.model_copy(update={"max_calibration_error": 1.0})
    older = gate.decide(unsure, loose)
    reasons = [check["reason"] for check in older["checks"] if not check["passed"]]
    assert reasons == [
        "older data: it learned from the photos of version 1; the champion, version 2, from "
        "later ones"
    ]

    data(home, "third")
    better = challengers.network(home / "better", sure=challengers.SURE * 1.01)
    must = LIMITS.model_copy(update={"must_be_better": True})
    decision = gate.decide(challengers.tested(better, test, root), must)
    assert decision["promoted"]
    assert "shows that it is better" in decision["checks"][-1]["reason"]
    assert serving() == 4
    assert answer() != former

    assert champions.rollback("it was a drill", len(audit.moves())).version == 2
    assert serving() == 2
    assert answer() == former

    taken_out = gate.decide(challengers.tested(better, test, root), must)
    assert not taken_out["promoted"]
    assert "`animal promote 4` brings it back" in taken_out["outcome"]
    assert serving() == 2


def test_a_champion_is_only_compared_on_photos_it_has_not_learned_from(home, photos, networks):
    root, test = photos
    good = registry.get(1)
    worse = challengers.tested(networks["worse"], test, root)
    learned = registry.folder(good) / registry.RECOGNISER / packaging.LEARNED_FROM
    assert learned.read_text() == "f" * 64
    few = replace(worse, predictions=worse.predictions.assign(photo="f" * 64))
    check = gate._against(good, few, LIMITS)
    assert check.passed
    assert "has learned from all but 0 of these test photos" in check.reason


def test_a_champion_that_knows_other_species_cannot_be_compared_and_the_reason_says_so(
    photos, networks
):
    root, test = photos
    renamed = test.assign(actual=test["actual"].map({"blue": "bird", "red": "fish"}))
    others = challengers.tested(networks["others"], renamed, root)
    champion = registry.Version(4, "Production", None, {"labels": json.dumps(LABELS)})
    check = gate._against(champion, others, LIMITS)
    assert check.passed
    assert "version 4, knows other species (bird, blue, fish, red known to one" in check.reason


@pytest.mark.slow
def test_the_server_is_really_asked_if_the_params_say_so(home, photos, networks):
    root, test = photos
    version = registry.get(1)
    good = challengers.tested(networks["good"], test.iloc[::10], root)
    asked = lambda: gate.rehearsal.server(version)  # noqa: E731
    check = gate._answers("served", asked, good)
    assert check.passed
    assert check.reason.startswith("served: as evaluated on 30 of 30 test photos")

    labels = registry.folder(version) / "artifacts/recogniser/labels.json"
    written = labels.read_text()
    labels.write_text(written.replace("red", "rad"))
    try:
        check = gate._answers("served", asked, good)
    finally:
        labels.write_text(written)
    assert not check.passed
    assert "labels.json was altered" in check.reason
