"""What the register stage makes of the files that the stages before it left."""

import json
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import challengers
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline import cli
from pipeline.core import atomic, tracking, workspace
from pipeline.register import gate, versions

ROOT = Path(__file__).parents[2]
ONES = dict.fromkeys(("min_accuracy", "min_macro_f1", "min_species_recall"), 1.0)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder as evaluate leaves it. The photos lie elsewhere; nearby lie another network, and
    files of the same names that show nothing."""
    project, photos = tmp_path / "project", tmp_path / "collection"
    (project / "data/ingested/files").mkdir(parents=True)
    (project / "models").mkdir()
    (project / "reports/plots").mkdir(parents=True)
    photos.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", challengers.store(project))
    with tracking.run("train") as run:
        run_id = run.info.run_id

    final = challengers.network(project / "models/final")
    challengers.network(project / "models/trained", redder=-0.1)
    made = challengers.tested(final, challengers.pictures(photos), photos, run_id)
    for path in photos.iterdir():
        Image.new("RGB", (40, 50)).save(project / "data/ingested/files" / path.name)
    Path("reports/metrics.json").write_text(json.dumps(made.metrics))
    made.species.to_csv("reports/plots/per_species.csv", index=False)
    made.predictions.to_csv("reports/predictions.csv", index=False)
    atomic.write_table(made.manifest, Path("data/ingested/manifest.parquet"))
    atomic.write_table(made.split, Path("data/split.parquet"))
    workspace.write_collection(Path("data/ingested"), photos)
    return replace(made, root=photos)


def register(**limits) -> dict:
    """Runs the stage with these limits; gives what it wrote."""
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text())
    params["register"].update(challengers.LIMITS.model_dump() | limits)
    yaml.dump(params, Path("params.yaml"))
    runpy.run_path(str(ROOT / "stages/register.py"))["main"]()
    return json.loads(Path("reports/registration.json").read_text())


@pytest.mark.slow
def test_floors_of_one_keep_out_and_those_of_the_params_let_in(project, capsys):
    kept_out = register(**ONES)
    assert not kept_out["promoted"], "floors of 1.0 let a model in that errs"
    assert versions.champion() is None
    assert versions.get(1).stage == "Staging"
    assert {c["name"]: c["limit"] for c in kept_out["checks"] if not c["passed"]} == {
        "accuracy": 1,
        "macro_f1": 1,
        "worst_recall": 1,
    }
    printed = capsys.readouterr().out
    assert printed.startswith("version 1: registered; does not serve; there is no champion yet\n")
    assert "  FAILED: test accuracy: 0.9007 is below 1\n" in printed

    let_in = register()
    assert [check["reason"] for check in let_in["checks"] if not check["passed"]] == []
    assert let_in["promoted"]
    assert versions.champion().number == let_in["version"] == 1
    found = {check["name"]: check["measured"] for check in let_in["checks"]}
    assert found["accuracy"] == pytest.approx(245 / 272)
    assert found["worst_recall"] == pytest.approx(21 / 28)

    served = versions.folder(versions.get(1)) / versions.RECOGNISER
    network = (project.folder / "model.tflite").read_bytes()
    assert (served / "model.tflite").read_bytes() == network
    run_id = project.metrics["run_id"]
    client = tracking.mlflow().MlflowClient()
    assert client.get_model_version("animal", "1").run_id == run_id
    logged = [file.path for file in client.list_artifacts(run_id, "reports")]
    named = ["reports/index.html", "reports/model_card.md", "reports/registration.json"]
    assert logged == named, "the decision belongs to the run that trained"
    page = Path("reports/index.html").read_text()
    assert "test accuracy: 0.9007 reaches" in page and "<b>0.901</b>accuracy" in page
    assert 'href="model_card.md"' in page
    card = Path("reports/model_card.md").read_text()
    assert (served.parents[1] / "about/model_card.md").read_text().split("## Made")[0] in card


def ends_at_once() -> bool:
    """Runs the stage; tells whether it had nothing to do."""
    try:
        register()
    except SystemExit as ended:
        return not ended.code
    return False


def test_where_nothing_has_changed_it_says_the_same_once_more(project, capsys, monkeypatch):
    shutil.copy(ROOT / "dvc.yaml", "dvc.yaml")
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    for dep in map(Path, stages["register"]["deps"]):
        if not dep.exists():
            dep.mkdir(parents=True)
    decide = gate.decide

    def saved_meanwhile(*arguments):
        Path("src/pipeline/register/gate.py").write_text("other code")
        return decide(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(gate, "decide", saved_meanwhile)
        assert register()["outcome"] == "registered; promoted to Production"
    assert not ends_at_once(), "the first run had not gone by that code"
    said = capsys.readouterr().out.split("version 1: serves already")[1]
    assert ends_at_once()
    again = "nothing has changed since the last run:\nversion 1: serves already"
    assert capsys.readouterr().out == again + said
    assert register(max_drop=0.5)["outcome"] == "serves already; nothing to do"


def test_a_run_that_fails_leaves_no_older_decision_beside_newer_numbers(project, monkeypatch):
    for name in ("registration.json", "model_card.md", "index.html"):
        Path("reports", name).write_text("of another recogniser")
    monkeypatch.setattr("pipeline.register.gate.decide", Mock(side_effect=OSError))
    with pytest.raises(OSError):
        register()
    assert sorted(path.name for path in Path("reports").iterdir()) == [
        "metrics.json",
        "plots",
        "predictions.csv",
    ]


@pytest.mark.slow
def test_a_network_that_took_the_place_of_the_tested_one_stays_out(project):
    shutil.rmtree("models/final")
    shutil.copytree("models/trained", "models/final")
    decision = register(max_drop=1.0)
    failed = [check["name"] for check in decision["checks"] if not check["passed"]]
    assert failed == ["answers"]
    assert versions.champion() is None


def test_a_challenger_is_compared_on_the_page_and_again_when_nothing_is_to_be_decided(
    project, capsys, monkeypatch
):
    """The second network is the first one with other weights: it errs on more photos."""
    assert "comparison" not in register()
    good = pd.read_csv("reports/predictions.csv", keep_default_na=False)
    final = challengers.network(Path("models/other"), redder=-0.1)
    made = challengers.tested(
        final,
        good.assign(group=good["photo"]).drop(columns=["predicted", "probability"]),
        project.root,
    )
    shutil.rmtree("models/final")
    shutil.copytree(final, "models/final")
    Path("reports/metrics.json").write_text(
        json.dumps(made.metrics | {"run_id": project.metrics["run_id"]})
    )
    made.predictions.to_csv("reports/predictions.csv", index=False)
    decision = register(max_drop=1.0)
    new = made.predictions["predicted"] == made.predictions["actual"]
    old = good["predicted"] == good["actual"]
    compared = decision["comparison"]
    assert compared["champion"] == 1 and compared["photos"] == 272
    assert (compared["gained"], compared["lost"]) == ((new & ~old).sum(), (old & ~new).sum())
    assert compared["gained"] + compared["lost"] > 0
    page = Path("reports/index.html").read_text()
    assert "Against the champion, version 1" in page
    assert page.count("<figure>") >= min(40, compared["gained"] + compared["lost"])
    again = register(max_drop=1.0)
    assert again["comparison"] == compared
    monkeypatch.setattr("sys.argv", ["animal", "summary"])
    cli.main()
    assert f"{compared['gained']} photos gained, {compared['lost']} lost" in capsys.readouterr().out
