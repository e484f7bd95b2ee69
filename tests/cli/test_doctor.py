"""`animal doctor`, on machines that miss something."""

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import cli
from pipeline.cli import doctor

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data/sources").mkdir(parents=True)
    (tmp_path / "data/sources/demo.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["animal", "doctor", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code), capsys.readouterr().out


def test_a_machine_that_has_all_is_told_so_without_colours(project, monkeypatch, capsys):
    code, said = run(monkeypatch, capsys)
    assert code == 0, said
    assert len(said.splitlines()) >= len(doctor.CHECKS)
    assert "\x1b" not in said
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert doctor.coloured("ok", 32) == "\x1b[32mok\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert doctor.coloured("ok", 32) == "ok"


def usage(free):
    return lambda _: SimpleNamespace(free=free)


MISSING = {
    "Python": (lambda m, p: m.setattr(sys, "version_info", (3, 10, 1)), "wrong", "3.11 to 3.13"),
    "folders": (
        lambda m, p: m.setattr(doctor.os, "access", lambda path, _: Path(path).name != "data"),
        "wrong",
        "chmod -R u+rwX data",
    ),
    "disk": (lambda m, p: m.setattr(shutil, "disk_usage", usage(3e9)), "note", "dvc gc"),
    "memory": (lambda m, p: m.setattr(doctor.os, "sysconf", lambda _: 50_000), "note", "lower"),
    "programs": (
        lambda m, p: m.setattr(shutil, "which", lambda name: name if name == "git" else None),
        "wrong",
        "activate",
    ),
    "serving": (lambda m, p: m.setattr(shutil, "which", lambda name: None), "note", "env-manager"),
    "params.yaml": (
        lambda m, p: (p / "data/sources/demo.yaml").unlink(),
        "wrong",
        "animal use PATH",
    ),
    "weights": (
        lambda m, p: (p / "params.yaml").write_text(
            (p / "params.yaml").read_text().replace("backbone: auto\n", "backbone: lite9\n", 1)
        ),
        "wrong",
        "params.yaml",
    ),
}


@pytest.mark.parametrize("check", MISSING)
def test_what_is_missing_is_said_with_what_to_do(project, monkeypatch, capsys, check):
    take_away, state, advice = MISSING[check]
    take_away(monkeypatch, project)
    code, said = run(monkeypatch, capsys, "--json")
    finding = next(one for one in json.loads(said) if one["check"] == check)
    assert finding["state"] == state
    assert advice in finding["advice"]
    assert state == "note" or code == 1


def test_a_moved_project_is_noticed(project, monkeypatch, capsys):
    (project / ".venv").mkdir()
    (project / ".venv/ready").write_text("/somewhere/else\n")
    code, said = run(monkeypatch, capsys)
    assert code == 1 and "the project was moved: run `make setup`" in said


def test_a_gpu_that_tensorflow_does_not_see_is_a_note(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: name)
    for count, state in (("0", "note"), ("2", "ok")):
        monkeypatch.setattr(doctor, "_COUNT_GPUS", f"print('noise'); print({count})")
        assert doctor.gpu().state == state
