"""Tells whether stage register would do again just what it did the last time.

The registry is outside DVC, so the stage always runs. Where the registry is a SQLite database, its
file changes with whatever anybody does in it. If it is as the stage left it, and so are the files
that the stage reads and writes, nothing is left to do, and MLflow need not even be imported.
"""

import hashlib
import os
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.core import atomic, moved_project, params, tracking, workspace

_LEFT = Path(".cache/registered.sha256")
_REGISTRY = "sqlite:///mlflow.db"  # MLflow's own default


def changed(limits: params.Register) -> bool:
    """Tells whether anything is not as the last run left it; where it cannot tell, that it is.

    Args:
        limits: `register` of the params.
    """
    if "MLFLOW_REGISTRY_URI" in os.environ or not _LEFT.is_file():
        return True
    state = _state(limits, os.environ.get("MLFLOW_TRACKING_URI", _REGISTRY))
    return state is None or state != _LEFT.read_text(encoding="utf-8")


def remember(limits: params.Register) -> None:
    """Writes down what the stage leaves; to be called when nothing is written any more.

    Args:
        limits: `register` of the params.
    """
    ml = tracking.mlflow()
    uri = ml.get_tracking_uri()
    state = _state(limits, uri) if uri == ml.get_registry_uri() else None
    with atomic.atomic_write(_LEFT) as path:
        path.write_text(state or "", encoding="utf-8")


def _state(limits: params.Register, uri: str) -> str | None:
    """Returns a digest of all that the stage reads and writes; None where it cannot be seen.

    Registry and outputs go by their content, for DVC moves outputs into its cache and links them
    back; the rest by size, times and inode.
    """
    registry, pipeline = moved_project.database(uri), Path("dvc.yaml")
    if registry is None or Path(f"{registry}-wal").exists() or not pipeline.is_file():
        return None
    stage = YAML(typ="safe").load(pipeline)["stages"]["register"]
    whole = [registry.absolute(), *workspace.outputs(stage)]
    if not all(path.is_file() for path in whole):
        return None
    state = hashlib.sha256(f"{Path.cwd()} {limits.model_dump_json()}".encode())
    for path in whole:
        state.update(f"\n{path} {hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    for path in sorted(file for dep in stage["deps"] for file in _files(Path(dep))):
        seen = path.stat()
        times = f"{seen.st_mtime_ns} {seen.st_ctime_ns}"
        state.update(f"\n{path} {seen.st_size} {times} {seen.st_ino}".encode())
    return state.hexdigest()


def _files(path: Path) -> list[Path]:
    """Returns a file itself, or the files below a folder but those that Python compiles."""
    if not path.is_dir():
        return [path]
    return [path / name for name in atomic.files_below(path) if "__pycache__" not in name]
