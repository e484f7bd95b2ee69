"""`animal status`, beside a DVC that answers what a test wants."""

import json
import os
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import cli
from pipeline.cli import status
from pipeline.core import stage_timer

ROOT = Path(__file__).parents[2]
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
# What stands in dvc.yaml, by hand: the stages that follow when one is changed.
FOLLOW = {
    "ingest": "ingest resize split augment train tune evaluate register",
    "resize": "resize augment train tune evaluate register",
    "split": "split augment train tune evaluate register",
    "augment": "augment train tune evaluate register",
    "train": "train evaluate register",
    "tune": "tune evaluate register",
    "evaluate": "evaluate register",
    "register": "register",
}


@pytest.mark.parametrize("name", FOLLOW)
def test_what_depends_on_a_changed_stage_runs_too(name):
    assert status.will_run(PIPELINE, {name}) == FOLLOW[name].split()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project that has run once, with the answer of `dvc status` in a file."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "reports/ingest").mkdir(parents=True)
    (tmp_path / "reports/ingest/counts.csv").write_text(
        "species,files,accepted,exact_duplicate\nant,19,15,4\nbee,8,7,1\nowl,2,0,2\n"
    )
    test = {"photos": 9, "accuracy": 0.875, "standard_error": 0.1102}
    (tmp_path / "reports/metrics.json").write_text(json.dumps({"test": test}))
    (tmp_path / ".cache").mkdir()
    (tmp_path / stage_timer.SECONDS).write_text('{"tune": 200, "evaluate": 40, "ingest": 999}')
    (tmp_path / "dvc").write_text('#!/bin/sh\ncat "$(dirname "$0")/answer.json"\n')
    (tmp_path / "dvc").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["animal", "status", *arguments])
    cli.main()
    return capsys.readouterr().out


def test_it_says_in_ten_lines_where_things_stand(project, monkeypatch, capsys):
    changed = {"tune": [{"changed deps": {}}], "register": ["always changed"]}
    (project / "answer.json").write_text(json.dumps(changed))
    lines = run(monkeypatch, capsys).splitlines()
    assert len(lines) <= 10
    said = {line[:12].strip(): line[12:] for line in lines}
    assert said["collection"] == "data/sources/demo.yaml"
    assert said["photos"].startswith("22 photos of 2 species, 7 files refused (")
    assert said["last test"].startswith("accuracy 0.875 ± 0.110 on 9 photos (")
    assert said["champion"] == "none: no version serves"
    assert said["next"] == (
        "`dvc repro` runs tune, evaluate, register: about 4 min by their last runs; "
        "register not timed yet"
    )
    facts = json.loads(run(monkeypatch, capsys, "--json"))
    stages = ["tune", "evaluate", "register"]
    assert facts["next"] == {"stages": stages, "seconds": 240, "not_timed": ["register"]}


def test_a_project_where_nothing_has_changed_or_nothing_has_run(project, monkeypatch, capsys):
    (project / "answer.json").write_text('{"register": ["always changed"]}')
    assert "\nnext        nothing: all is up to date\n" in run(monkeypatch, capsys)
    shutil.rmtree(project / "reports")
    (project / "answer.json").write_text("")
    (project / "dvc").write_text("#!/bin/sh\nexit 255\n")
    said = run(monkeypatch, capsys)
    assert "\nphotos      not read yet\n" in said and "\nlast test   none yet\n" in said
    assert "\nnext        DVC does not answer: run `animal doctor`\n" in said


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "2 h")]
)
def test_durations(seconds, text):
    assert status._duration(seconds) == text
