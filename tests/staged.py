"""Runs one stage alone, as DVC does, in a folder whose inputs a test has made by hand."""

import contextlib
import runpy
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]


def run(name: str, folder: Path, lines: dict) -> None:
    """Runs a stage of the repository in a folder, with some lines of its params altered.

    Args:
        name: The stage.
        folder: Where its inputs lie and its outputs shall stand.
        lines: New values by section and key, as `{"split.by": "location"}`.
    """
    yaml = YAML()
    written = yaml.load(REPOSITORY / "params.yaml")
    for line, value in ({"parallel.jobs": 1} | lines).items():
        section, key = line.split(".")
        assert key in written[section], f"params.yaml has no {line}"
        written[section][key] = value
    yaml.dump(written, folder / "params.yaml")
    with contextlib.chdir(folder):
        runpy.run_path(str(REPOSITORY / "stages" / f"{name}.py"), run_name="__main__")
