"""`animal status`: where things stand, and what the next run would do."""

import argparse
import csv
import json
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.parser import Commands

if TYPE_CHECKING:
    from subprocess import Popen

_REPORTS = Path("reports")
_DATABASE = Path("mlflow.db")


def add(commands: Commands) -> None:
    status = commands.add_parser(
        "status",
        help="say where things stand, and what `dvc repro` would do",
        example="status --json",
        epilog="It asks DVC what has changed, which takes some seconds.",
    )
    status.add_argument("--json", action="store_true", help="print it for a script")


def run(arguments: argparse.Namespace) -> None:
    facts = facts_of_project()
    print(json.dumps(facts, indent=2) if arguments.json else "\n".join(_lines(facts)))


def facts_of_project() -> dict[str, Any]:
    """Returns what is known of the project in the current folder, as JSON can hold it.

    Raises:
        UserError: There is no project here, or its params have a mistake.
    """
    from pipeline.core import params

    source = params.load().ingest.source
    dvc = _start_dvc()  # it works while the registry's library is imported
    registry = _registry()
    cached = sum(path.stat().st_size for path in Path(".cache").rglob("*") if path.is_file())
    return {
        "collection": {"source": source, **_collection()},
        "test": _test(),
        **registry,
        "next": _next(dvc),
        "disk": {"free_bytes": shutil.disk_usage(".").free, "cache_bytes": cached},
    }


def _collection() -> dict[str, Any]:
    path = _REPORTS / "ingest" / "counts.csv"
    if not path.is_file():
        return {"ingested": None}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    accepted = [int(row["accepted"]) for row in rows]
    return {
        "ingested": _changed(path),
        "species": sum(count > 0 for count in accepted),
        "accepted": sum(accepted),
        "refused": sum(int(row["files"]) for row in rows) - sum(accepted),
    }


def _test() -> dict[str, Any] | None:
    path = _REPORTS / "metrics.json"
    if not path.is_file():
        return None
    test = json.loads(path.read_text(encoding="utf-8"))["test"]
    return {
        "when": _changed(path),
        **{name: test[name] for name in ("photos", "accuracy", "standard_error")},
    }


def _registry() -> dict[str, Any]:
    if not (_DATABASE.exists() or os.environ.get("MLFLOW_TRACKING_URI")):
        return {"champion": None, "newest": None}
    from pipeline.register import audit_log, versions

    champion, every = versions.champion(), versions.versions()
    moves = [entry.when for entry in audit_log.moves()] if champion else []
    serving = champion and {
        "version": champion.number,
        "since": moves[-1][:19] if moves else None,
        "accuracy": float(champion.tags["accuracy"]) if "accuracy" in champion.tags else None,
    }
    newest = every[-1] if every else None
    failed = [check["reason"] for check in newest.checks if not check["passed"]] if newest else []
    return {
        "champion": serving,
        "newest": newest and {"version": newest.number, "stage": newest.stage, "failed": failed},
    }


def _start_dvc() -> "Popen | None":
    import subprocess

    try:
        return subprocess.Popen(
            ["dvc", "status", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:  # it is not installed, or not on the path
        return None


def _next(dvc: "Popen | None") -> dict[str, Any] | None:
    """Returns the stages that `dvc repro` would run, and their seconds; None if DVC fails."""
    from ruamel.yaml import YAML

    from pipeline.core import stage_timer

    output = dvc.communicate()[0] if dvc else b""
    if dvc is None or dvc.returncode:
        return None
    changed = {name for name, why in json.loads(output).items() if why != ["always changed"]}
    pipeline = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    stages = will_run(pipeline, changed)
    known = stage_timer.read()
    return {
        "stages": stages,
        "seconds": sum(known.get(name, 0) for name in stages),
        "not_timed": [name for name in stages if name not in known],
    }


def will_run(pipeline: dict[str, dict], changed: set[str]) -> list[str]:
    """Returns the stages that run, in their order: what has changed, and what depends on that.

    Args:
        pipeline: `stages` of dvc.yaml, in an order in which each comes after what it needs.
        changed: Names of stages that have changed.
    """
    from pipeline.core import workspace

    running: list[str] = []
    written: list[Path] = []
    for name, stage in pipeline.items():
        needs = [Path(dep) for dep in stage.get("deps", [])]
        follows = any(
            dep.is_relative_to(out) or out.is_relative_to(dep) for dep in needs for out in written
        )
        if name in changed or follows:
            running.append(name)
            written += workspace.outputs(stage)
    return running


def _changed(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "minutes")


def _lines(facts: dict[str, Any]) -> list[str]:
    collection, test = facts["collection"], facts["test"]
    photos = "not read yet"
    if collection["ingested"]:
        photos = (
            f"{collection['accepted']:,} photos of {collection['species']} species, "
            f"{collection['refused']:,} files refused ({collection['ingested']})"
        )
    result = "none yet"
    if test:
        result = (
            f"accuracy {test['accuracy']:.3f} ± {test['standard_error']:.3f} on {test['photos']} "
            f"photos ({test['when']}); `animal summary` says more"
        )
    disk = facts["disk"]
    return [
        f"collection  {collection['source']}",
        f"photos      {photos}",
        f"last test   {result}",
        f"champion    {_champion(facts['champion'])}",
        f"newest      {_newest(facts['newest'], facts['champion'])}",
        f"next        {_plan(facts['next'])}",
        f"disk        {disk['free_bytes'] / 1e9:,.1f} GB free; "
        f".cache has {disk['cache_bytes'] / 1e9:,.1f} GB",
    ]


def _champion(champion: dict[str, Any] | None) -> str:
    if champion is None:
        return "none: no version serves"
    since = f" since {champion['since'].replace('T', ' ')} UTC" if champion["since"] else ""
    tested = champion["accuracy"]
    accuracy = f", accuracy {tested:.3f} in its test" if tested is not None else ""
    return f"version {champion['version']} serves{since}{accuracy}"


def _newest(newest: dict[str, Any] | None, champion: dict[str, Any] | None) -> str:
    if newest is None:
        return "no version is registered"
    if champion and champion["version"] == newest["version"]:
        return "the champion"
    why = "; ".join(newest["failed"]) or "`animal versions` says why"
    return f"version {newest['version']} does not serve: {why}"


def _plan(plan: dict[str, Any] | None) -> str:
    if plan is None:
        return "DVC does not answer: run `animal doctor`"
    if not plan["stages"]:
        return "nothing: all is up to date"
    timed = [name for name in plan["stages"] if name not in plan["not_timed"]]
    about = f"about {_duration(plan['seconds'])} by their last runs" if timed else ""
    unknown = f"{', '.join(plan['not_timed'])} not timed yet" if plan["not_timed"] else ""
    how_long = "; ".join(filter(None, (about, unknown)))
    return f"`dvc repro` runs {', '.join(plan['stages'])}: {how_long}"


def _duration(seconds: float) -> str:
    """Returns seconds in the unit that fits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
