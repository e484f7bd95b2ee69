"""Stages of a folder of their own, run as DVC runs the real ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from pipeline.core import errors, stage_timer

def main():
    {body}

if __name__ == "__main__":
    stage_timer.run(main)
"""


def run(folder, name, body):
    (folder / "stages").mkdir(exist_ok=True)
    (folder / f"stages/{name}.py").write_text(SCRIPT.format(body=body))
    source = str(Path(__file__).parents[2] / "src")
    command = [sys.executable, "-m", f"stages.{name}"]
    return subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": source}).returncode


def test_the_seconds_of_stages_that_ended_well_are_stored(tmp_path):
    assert run(tmp_path, "slow", "import time; time.sleep(0.3)") == 0
    assert run(tmp_path, "fast", "pass") == 0
    assert run(tmp_path, "idle", "raise SystemExit") == 0
    assert run(tmp_path, "wrong", "raise errors.UserError('no photos')") == 1
    seconds = json.loads((tmp_path / ".cache/stage_seconds.json").read_text())
    assert set(seconds) == {"slow", "fast"}
    assert 0.3 <= seconds["slow"] < 30 and seconds["fast"] < seconds["slow"]
    (tmp_path / ".cache/stage_seconds.json").write_text("half a li")
    assert run(tmp_path, "fast", "pass") == 0
    assert set(json.loads((tmp_path / ".cache/stage_seconds.json").read_text())) == {"fast"}
