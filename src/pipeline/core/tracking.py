"""Opens MLflow, and tags every run of this project.

With no set-up that is MLflow's own default: `mlflow.db` and `mlruns/` in the folder of
`params.yaml`, where `mlflow ui` and `mlflow models serve` look too. `MLFLOW_TRACKING_URI` moves all
of them elsewhere.
"""

import getpass
import hashlib
import logging
import os
import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pipeline.core import atomic, moved_project
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import ActiveRun

EXPERIMENT = "animal"
MODEL, ALIAS = "animal", "champion"  # what is registered, and the version of it that serves
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the second: it is no name at all


def mlflow() -> Any:  # the module; a checker does not know all that it exports
    """Imports MLflow: quietly, and without reports to its makers."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    # These report each table that is created, and that an input example is checked.
    for name in ("mlflow.store.db.utils", "alembic", "mlflow.pyfunc"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return mlflow


def local_uri() -> str | None:
    """Returns the address of MLflow's SQLite database, as MLflow would, but without importing it.

    Returns:
        None where runs or registry are elsewhere.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if os.environ.get("MLFLOW_REGISTRY_URI"):
        return None
    if not uri:  # where MLflow finds runs that an older one kept in files, it goes on with those
        uri = "" if any(Path("mlruns").glob("[0-9]*/meta.yaml")) else "sqlite:///mlflow.db"
    return uri if moved_project.database(uri) else None


def tags(stage: str) -> dict[str, str]:
    """Returns the tags of a run: stage, git commit, hash of the manifest, whether it is drawn."""
    manifest, values = Path("data/ingested/manifest.parquet").absolute(), {"stage": stage}
    if manifest.exists():
        state = manifest.stat()
        values |= _manifest_tags(manifest, state.st_size, state.st_mtime_ns)
    return values | _code_tags(Path.cwd())


@cache  # a search has many runs, and all are of the same photos
def _manifest_tags(manifest: Path, size: int, changed: int) -> dict[str, str]:
    """Returns what a manifest of that size and time of change says of the photos."""
    import pyarrow.parquet as pq  # a tenth of a second that a rollback need not wait

    origin = pq.read_table(manifest, columns=["origin"])["origin"]
    return {
        "manifest_sha256": hashlib.sha256(manifest.read_bytes()).hexdigest(),
        "drawn": str(origin.unique().to_pylist() == ["drawn"]),
    }


@cache  # a process runs the code that was there when it began
def _code_tags(folder: Path) -> dict[str, str]:
    """Returns the commit of a folder's code, and whether files differ; nothing without git."""
    commit = _git("-C", str(folder), "rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git("-C", str(folder), "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": str(bool(changed))}


def user() -> str:
    """Returns the name of the user who runs this; empty for one who has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def who() -> str:
    """Returns the person who runs this, as user@machine."""
    return f"{user() or os.getuid()}@{socket.gethostname()}"


@contextmanager
def run(
    stage: str, name: str | None = None, run_id: str | None = None, nested: bool = False
) -> Iterator["ActiveRun"]:
    """Opens a run of the experiment `animal` while the block lasts.

    Args:
        stage: The DVC stage it belongs to.
        name: The run's name. Defaults to the stage.
        run_id: An earlier run to resume, if MLflow still has it. Defaults to None: a new run.
        nested: Whether it belongs to the run that is open now. Defaults to False.

    Yields:
        The run.
    """
    ml = mlflow()
    _make_database(ml.get_tracking_uri())
    moved_project.mend(ml.get_tracking_uri())
    ml.set_experiment(EXPERIMENT)
    if run_id is not None and not exists(run_id):
        run_id = None
    opened = {"run_id": run_id} if run_id else {"run_name": name or stage, "tags": tags(stage)}
    with ml.start_run(**opened, nested=nested) as active:
        if name is not None:  # an earlier run may have been called otherwise
            ml.set_tag("mlflow.runName", name)
        yield active


def _make_database(tracking_uri: str) -> None:
    """Makes MLflow's SQLite database whole or not at all, if there is none.

    MLflow makes its tables one after the other, and never goes on where it was killed.
    """
    database = moved_project.database(tracking_uri)
    if database is None or database.exists():
        return
    with TemporaryDirectory() as folder:
        made = Path(folder, database.name)
        mlflow().MlflowClient(f"sqlite:///{made}").search_experiments(max_results=1)
        with suppress(UserError), atomic.new_file(database) as partial:  # another may be faster
            shutil.copyfile(made, partial)


def champion_params() -> dict[str, Any]:
    """Returns the champion's params by dotted name; empty if there is no champion."""
    from ruamel.yaml import YAML

    ml = mlflow()
    with suppress_absent():
        version = ml.MlflowClient().get_model_version_by_alias(MODEL, ALIAS)
        logged = ml.get_run(version.run_id or "").data.params
        return {name: YAML(typ="safe").load(value) for name, value in logged.items()}
    return {}


def exists(run_id: str) -> bool:
    """Returns whether MLflow has this run, and has not deleted it."""
    with suppress_absent():
        return mlflow().get_run(run_id).info.lifecycle_stage == "active"
    return False


@contextmanager
def suppress_absent() -> Iterator[None]:
    """Leaves the block where MLflow says that it has nothing of that name.

    All else is raised: a server that does not answer is not one that has nothing.
    """
    try:
        yield
    except mlflow().exceptions.MlflowException as error:
        if error.error_code not in _ABSENT:
            raise


def log_params(**sections: Any) -> None:
    """Logs sections of the params as `section.key`."""
    flat = {
        f"{section}.{key}": value
        for section, lines in sections.items()
        for key, value in lines.model_dump().items()
        if not isinstance(value, dict)
    }
    mlflow().log_params(flat)


def log_dataset(split: "pd.DataFrame", names: list[str], context: str) -> None:
    """Logs which photos a run used, as an MLflow dataset with its digest.

    Args:
        split: The table that stage split wrote: photo, species, split.
        names: The splits that the run used.
        context: The purpose: `training` or `testing`.
    """
    ml = mlflow()
    frame = split.loc[split["split"].isin(names), ["photo", "species", "split"]]
    with warnings.catch_warnings():  # two of MLflow's own readers could read the path
        warnings.simplefilter("ignore", UserWarning)
        dataset = ml.data.from_pandas(frame, source="data/split.parquet", name="photos")
    ml.log_input(dataset, context=context)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def log_epoch(epoch: int, metrics: dict[str, float]) -> None:
    """Logs an epoch to the open run, in one call, as soon as it has ended."""
    mlflow().log_metrics(metrics, step=epoch)


def log_history(history: list[dict[str, float]]) -> None:
    """Logs all epochs of a run at once: a call costs some 20 ms, a trial's epoch little more.

    Args:
        history: The metrics of each epoch, by name.
    """
    from mlflow.entities import Metric

    now, active = int(time.time() * 1000), mlflow().active_run()
    logged = [Metric(k, v, now, step) for step, row in enumerate(history) for k, v in row.items()]
    for i in range(0, len(logged), 1000):  # MLflow's limit for one call
        mlflow().MlflowClient().log_batch(active.info.run_id, metrics=logged[i : i + 1000])


def log_score(score: Any) -> None:
    """Logs a `metrics.Score` on photos that training held out."""
    mlflow().log_metrics({f"validation_{name}": value for name, value in asdict(score).items()})


def log_test(metrics: dict[str, float], split: "pd.DataFrame") -> None:
    """Logs the metrics of a test, and its photos."""
    log_dataset(split, ["test"], "testing")
    mlflow().log_metrics({f"test_{name}": value for name, value in metrics.items()})


def log_folder(folder: Path) -> None:
    """Logs a file, or a folder less the networks in it."""
    ml = mlflow()
    for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".keras", ".tflite"):
            ml.log_artifact(str(path), path.parent.as_posix())
