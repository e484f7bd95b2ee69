"""The `animal` command, as one types it."""

import subprocess
import sys

import pytest

from pipeline import cli


def test_help_lists_the_commands_and_loads_nothing_heavy():
    code = """
import sys
from pipeline import cli
try:
    cli.main()
except SystemExit:
    heavy = {"mlflow", "numpy", "pandas", "pydantic", "PIL"} & set(sys.modules)
    sys.exit(f"it loads {heavy}" if heavy else 0)
"""
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {"use", "summary"} <= set(done.stdout.split())


def test_a_mistake_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["animal", "summary"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == "error: there are no results yet; run `dvc repro`"
