"""When `make` makes the virtual environment anew."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("place", "anew"), [("here", False), ("elsewhere", True)])
def test_a_moved_project_gets_a_new_environment(tmp_path, place, anew):
    project = tmp_path / "my animals"
    (project / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, project)
    made_in = project if place == "here" else tmp_path / "former"
    (project / ".venv/ready").write_text(f"{made_in.resolve()}\n")
    done = subprocess.run(["make", "-n", "run"], cwd=project, capture_output=True, text=True)
    assert "dvc repro" in done.stdout, done.stderr
    assert ("-m venv --clear .venv" in done.stdout) == anew
