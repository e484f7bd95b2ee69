"""Runs one stage alone, as DVC does, in a folder whose inputs a test has made."""

import contextlib
import copy
import json
import runpy
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]


@cache
def _params() -> dict:
    return YAML(typ="safe").load(REPOSITORY / "params.yaml")


def write_params(folder: Path, lines: dict) -> None:
    """Writes the repository's params with some lines altered, as JSON, which is YAML too.

    Reading and writing comments took a third of the time of a test of ingest.

    Args:
        folder: Where params.yaml shall stand.
        lines: New values by section and key, as `{"split.by": "location"}`.
    """
    written = copy.deepcopy(_params())
    for line, value in lines.items():
        section, key = line.split(".")
        assert key in written[section], f"params.yaml has no {line}"
        written[section][key] = value
    (folder / "params.yaml").write_text(json.dumps(written), encoding="utf-8")


def run(name: str, folder: Path, lines: dict) -> None:
    """Runs a stage of the repository in a folder, with some lines of its params altered.

    Args:
        name: The stage.
        folder: Where its inputs lie and its outputs shall stand.
        lines: New values by section and key, as `{"split.by": "location"}`.
    """
    write_params(folder, {"parallel.jobs": 1} | lines)
    with contextlib.chdir(folder):
        runpy.run_path(str(REPOSITORY / "stages" / f"{name}.py"), run_name="__main__")
