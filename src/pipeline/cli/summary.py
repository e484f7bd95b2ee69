"""Summarises the last test, or a version's: `animal summary`."""

import argparse
import json
from pathlib import Path

from pipeline.cli.parser import Commands
from pipeline.core import errors


def add(commands: Commands) -> None:
    summary = commands.add_parser(
        "summary",
        help="print the results of the last test, or of a version's",
        example="summary --model 3",
    )
    summary.add_model(default=None)
    summary.add_argument("--json", action="store_true", help="print it for a script")


def run(arguments: argparse.Namespace) -> None:
    name, metrics, registration = _of_version(arguments.model) if arguments.model else _of_last()
    if arguments.json:
        print(
            json.dumps({"name": name, "metrics": metrics, "registration": registration}, indent=2)
        )
        return
    _print_numbers(name, metrics)
    if registration is None:
        return
    print(f"version {registration['version']}: {registration['outcome']}")
    if compared := registration.get("comparison"):
        print(
            f"  against version {compared['champion']} on {compared['photos']} photos: accuracy "
            f"{compared['difference']:+.4f} ({compared['low']:+.4f} to {compared['high']:+.4f}); "
            f"{compared['gained']} photos gained, {compared['lost']} lost "
            f"(McNemar's test: p = {compared['p_value']:.2g})"
        )
    for check in registration["checks"]:
        if not check["passed"]:
            print(f"  FAILED: {check['reason']}")
    serve = "  mlflow models serve -m models:/animal/Production --env-manager local --port 5001\n"
    promote = f"  animal promote {registration['version']} --why '...'  # to let it serve\n"
    print(
        "\nNext:\n"
        "  . .venv/bin/activate\n"
        f"{serve if registration['champion'] else promote}"
        "  mlflow ui\n"
        "and open reports/index.html: how good it is, where it fails, which labels look wrong"
    )


def _of_last() -> tuple[str, dict, dict]:
    """Returns a name, the metrics of the last test, and what the gate decided.

    The name is not that of `ingest.source`: who has just written another one there has not run it.
    """
    metrics, decision = Path("reports/metrics.json"), Path("reports/registration.json")
    if not (metrics.exists() and decision.exists()):
        raise errors.UserError("there are no results yet; run `dvc repro`")
    return "the last test", json.loads(metrics.read_text()), json.loads(decision.read_text())


def _of_version(model: str) -> tuple[str, dict, None]:
    """Returns a version's name and the metrics that it carries."""
    from pipeline.register import versions

    located = versions.locate(model)
    metrics = located.recogniser.parents[1] / "about/metrics.json"
    if not metrics.is_file():
        raise errors.UserError(f"{model} is no registered version: only those carry their numbers")
    return f"version {located.version}", json.loads(metrics.read_text()), None


def _print_numbers(name: str, metrics: dict) -> None:
    test = metrics["test"]
    drawn = "; drawn by code: no evidence about real photos" if metrics["drawn"] else ""
    print(f"\n{name}, on {test['photos']} photos{drawn}:")
    shown = {
        "accuracy": "accuracy",
        "macro_f1": "macro-F1",
        "top3": "top-3",
        "log_loss": "log-loss",
    }
    # Versions that were registered before there were intervals have a standard error alone.
    intervals = metrics.get("intervals", {})
    for key, title in shown.items():
        spread = f" ± {test['standard_error']:.3f}" if key == "accuracy" else ""
        if ends := intervals.get(key):
            level = f"{100 * intervals['level']:.0f} %"
            spread = f"  {ends['low']:.3f} to {ends['high']:.3f} ({level})"
        print(f"  {title:8}  {test[key]:.3f}{spread}")
    if worse := [row for row in metrics.get("slices", []) if row["worse"]]:
        named = ", ".join(
            f"{row['facet']}: {row['slice']} ({row['accuracy']:.3f})" for row in worse[:5]
        )
        print(f"  worse than chance explains on {named}")
