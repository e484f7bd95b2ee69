"""The project's own folders: what the stages write, and where nobody's photos may lie."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.core import atomic
from pipeline.core.errors import UserError

COLLECTION = "collection.json"
_BESIDE = (".cache", ".dvc", ".git", ".venv", "mlruns", "models", "reports", "src", "stages")


def folders() -> list[Path]:
    """Lists what the project in the current folder writes or is made of.

    Returns:
        The stages' outputs, by `dvc.yaml`, and the folders beside them; empty where there is no
        project.
    """
    pipeline = Path("dvc.yaml")
    if not pipeline.is_file():
        return []
    stages = YAML(typ="safe").load(pipeline)["stages"].values()
    return [*(out for stage in stages for out in outputs(stage)), *map(Path, _BESIDE)]


def outputs(stage: dict[str, Any]) -> list[Path]:
    """Lists what a stage writes, by its entry in `dvc.yaml`."""
    entries = [out for kind in ("outs", "metrics") for out in stage.get(kind, [])]
    return [Path(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def write_collection(ingested: Path, root: Path) -> None:
    """Writes down, for the stages that follow, which folder the manifest's paths start from.

    Args:
        ingested: Where ingest writes.
        root: The folder; below the project's it is written as such, so that both can be moved.
    """
    with atomic.atomic_write(ingested / COLLECTION) as path:
        path.write_text(json.dumps({"root": root.as_posix()}) + "\n", encoding="utf-8")


def collection_root(ingested: Path) -> Path:
    """Returns the folder that the manifest's paths start from.

    Args:
        ingested: Where ingest wrote.

    Raises:
        UserError: Ingest has not run.
    """
    try:
        written = (ingested / COLLECTION).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no {ingested / COLLECTION}; run `dvc repro ingest`") from None
    return Path(json.loads(written)["root"])


def require_source_outside(source: Path) -> None:
    """Checks that no output of the project lies in a collection, nor the collection in an output.

    DVC removes a stage's outputs before it runs the stage, so photos in one would be lost.

    Args:
        source: A collection: the folder of its photos, or the file that it comes as.

    Raises:
        UserError: They do not lie apart.
    """
    if inside := _first(source, Path.is_relative_to):
        raise UserError(
            f"{source} cannot be the source, for it lies in {inside}, which the project writes and "
            "clears: move the photos elsewhere, best outside the project"
        )
    if source.is_dir() and (
        inside := _first(source, lambda path, folder: folder.is_relative_to(path))
    ):
        raise UserError(
            f"{source} cannot be the source, for it holds {inside}, which belongs to the project: "
            "put the photos into a folder of their own, best outside the project"
        )


def require_target_outside(target: Path) -> None:
    """Checks that what a command is to write does not lie in a stage's output.

    The next run would remove it.

    Args:
        target: The file or folder to write.

    Raises:
        UserError: It lies in one.
    """
    if inside := _first(target, Path.is_relative_to):
        if inside in (Path("models"), Path("reports")):
            return  # beside the stages' outputs is room for more
        raise UserError(
            f"{target} lies in {inside}, where the project keeps its own: name another place"
        )


def require_folder(folder: Path) -> None:
    """Checks that a command can put files into a folder that a person named.

    Raises:
        UserError: It lies in a stage's output, is no folder, or may not be written to.
    """
    require_target_outside(folder)
    if not folder.is_dir():
        atomic.require_new(folder)
    atomic.require_writable(folder)


def _first(path: Path, related: Callable[[Path, Path], bool]) -> Path | None:
    """Returns the first of the project's folders that a path is related to.

    The path is compared as it was typed, and with its links followed.
    """
    typed, real = Path(os.path.abspath(path)), path.resolve()  # noqa: PTH100 (with `..` taken out)
    for folder in folders():
        if related(typed, folder.absolute()) or related(real, folder.resolve()):
            return folder
    return None
