"""A real project, run once for all tests here: a small drawn collection through all stages."""

import os
import re
import runpy
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.core import atomic

REPOSITORY = Path(__file__).parents[2]
STAGES = tuple(YAML(typ="safe").load(REPOSITORY / "dvc.yaml")["stages"])
COPIED = (
    "stages",
    "src",
    "data/corrections.csv",
    "data/detectors",
    "data/feedback",
    "data/sources",
    "data/weights",
    "dvc.yaml",
    "params.yaml",
    ".dvc/config",
    ".dvcignore",
)
SMALL = {
    "parallel.jobs": 2,
    "ingest.source": "small.yaml",
    "resize.size": 96,
    "augment.copies": 1,
    "augment.max_copies": 1,
    "model.backbone": "efficientnet_lite0",
    "train.epochs": 8,
    "tune.trials": 3,
    "tune.space": {
        "train.learning_rate": {"low": 0.001, "high": 0.01, "log": True},
        "model.dropout": {"low": 0.2, "high": 0.7},
    },
    "register.min_accuracy": 0.0,
    "register.min_macro_f1": 0.0,
    "register.min_species_recall": 0.0,
    "register.max_calibration_error": 1.0,
}
RECIPE = """
kind: drawn
species: [cat, fish, owl, zebra]
per_species: 24
size: 128
seed: 1
exact_duplicates: 2
near_duplicates: 2
broken: 1
"""


class Project:
    """A copy of the project in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "src"),
        }
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID"):  # of a stage run in here
            self.environment.pop(name, None)

    @classmethod
    def make(cls, folder: Path) -> "Project":
        for name in COPIED:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / name).is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore)
            else:
                shutil.copyfile(REPOSITORY / name, folder / name)
        (folder / "small.yaml").write_text(RECIPE)
        project = cls(folder)
        project.run("git", "init", "-q")
        project.set(**SMALL)
        return project

    def set(self, **lines) -> None:
        """Edits params.yaml: `set(**{"tune.trials": 4})`."""
        yaml = YAML()
        written = yaml.load(self.folder / "params.yaml")
        for name, value in lines.items():
            section, key = name.split(".")
            written[section][key] = value
        yaml.dump(written, self.folder / "params.yaml")

    def run(self, *command: str) -> str:
        """Runs a command and gives what it printed to stdout."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *arguments: str) -> list[str]:
        """Runs `dvc repro` and gives the stages that ran."""
        return self.stages_of(self.run("dvc", "repro", *arguments))

    @staticmethod
    def stages_of(printed: str) -> list[str]:
        """Finds the stages that ran in what `dvc repro` printed."""
        return re.findall(r"Running stage '(\w+)'", printed)

    def stage(self, name: str) -> None:
        """Runs a stage in this process, where TensorFlow and MLflow need loading only once."""
        atomic._remove_abandoned.cache_clear()  # it looks once a process
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{self.folder / 'mlflow.db'}")
            runpy.run_path(str(self.folder / f"stages/{name}.py"), run_name="__main__")

    def kill(self, name: str, ready: Callable[[], object]) -> None:
        """Runs a stage in processes of its own, and kills them all once `ready()` is true."""
        running = subprocess.Popen(
            [sys.executable, "-m", f"stages.{name}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not ready():
            assert running.poll() is None, f"{name} ended before it could be killed"
            time.sleep(0.01)
        os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL

    def python(self, code: str) -> str:
        """Runs code in the project's folder and gives the last line it printed."""
        return self.run(sys.executable, "-c", code).splitlines()[-1]

    def copy(self, folder: Path) -> "Project":
        """Copies the project to a folder that is not there yet, with MLflow's records of it."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("mlflow.db"))
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as records:
            lines = "\n".join(records.iterdump()).replace(str(self.folder), str(folder))
        with closing(sqlite3.connect(folder / "mlflow.db")) as records:
            records.executescript(lines)
        return Project(folder)

    def served(self, *arguments: str, seconds: float = 60):
        """The served champion's address and process, while the block lasts."""
        command = ["mlflow", "models", "serve", "-m", "models:/animal/Production"]
        return self.listening(*command, *arguments, ready="/ping", seconds=seconds)

    @contextmanager
    def listening(self, *command: str, ready: str, seconds: float = 60):
        """A server's address and process, while the block lasts.

        Args:
            command: What starts it, but for its port.
            ready: A path that it answers once it is ready.
            seconds: The longest time until then.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            for _ in range(int(seconds * 5)):
                time.sleep(0.2)
                assert server.poll() is None, server.stdout.read()
                try:
                    urllib.request.urlopen(f"{address}{ready}", timeout=5)
                    break
                except OSError:
                    continue
            else:
                raise AssertionError(f"the server was not ready within {seconds} s")
            yield address, server.pid
        finally:
            os.killpg(server.pid, 15)
            server.wait(timeout=20)


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Project:
    """The project after all stages. Tests that change it leave it in a good state.

    The stages run in this process, and DVC notes what they wrote; in test_decisions DVC runs them.
    """
    made = Project.make(tmp_path_factory.mktemp("project"))
    for name in STAGES:
        made.stage(name)
    made.run("dvc", "commit", "--force")
    return made
