"""A copy of this project, to run the pipeline in with other params."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

PROJECT = Path(__file__).resolve().parent.parent
COPIED = (
    "stages",
    "src",
    "data/sources",
    "data/corrections.csv",
    "data/detectors",
    "data/feedback",
    "data/weights",
    "dvc.yaml",
    ".dvc/config",
    ".dvcignore",
)


def prepare(source: Path, folder: Path, changes: list[str]) -> dict[str, str]:
    """Makes a folder an empty copy of the project, and gives the environment to run it in."""
    for name in COPIED:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copyfile
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(PROJECT / name, folder / name)
    change(folder, [f"ingest.source={json.dumps(str(source))}", *changes])
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder / "src")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return environment


def change(folder: Path, changes: list[str]) -> None:
    """Changes lines of a folder's params, each given as `train.epochs=5`.

    A folder without params starts with the project's.
    """
    yaml, file = YAML(), folder / "params.yaml"
    params = yaml.load(file if file.exists() else PROJECT / "params.yaml")
    for line in changes:
        name, _, value = line.partition("=")
        section, _, key = name.partition(".")
        params[section][key] = YAML(typ="safe").load(value)
    yaml.dump(params, file)


def repro(stage: str, folder: Path, environment: dict[str, str]) -> None:
    """Runs the pipeline up to a stage; what it prints on the way is left out."""
    command = ["dvc", "repro", "--quiet", stage]
    quiet = subprocess.DEVNULL
    subprocess.run(command, cwd=folder, env=environment, stdout=quiet, check=True)
