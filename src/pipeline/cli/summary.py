"""Summarises the last test, or a version's: `animal summary`."""

import argparse
import json
from pathlib import Path

from pipeline.cli import model_option
from pipeline.core import errors


def add(commands: argparse._SubParsersAction) -> None:
    summary = commands.add_parser("summary", help="results of a test, and the next commands")
    model_option.add(summary, default=None)
    summary.set_defaults(run=_summary)


def _summary(arguments: argparse.Namespace) -> None:
    if arguments.model:
        _print_version(arguments.model)
        return
    from pipeline.core import params

    metrics, decision = Path("reports/metrics.json"), Path("reports/registration.json")
    if not (metrics.exists() and decision.exists()):
        raise errors.UserError("there are no results yet; run `dvc repro`")
    registration = json.loads(decision.read_text())
    _print_numbers(params.load().ingest.source, json.loads(metrics.read_text()))
    print(f"version {registration['version']}: {registration['outcome']}")
    for check in registration["checks"]:
        if not check["passed"]:
            print(f"  FAILED: {check['reason']}")
    serve = "  mlflow models serve -m models:/animal/Production --env-manager local --port 5001\n"
    promote = f"  animal promote {registration['version']} --why '...'  # to let it serve\n"
    print(
        "\nNext:\n"
        "  . .venv/bin/activate\n"
        f"{serve if registration['champion'] else promote}"
        "  mlflow ui"
    )


def _print_version(model: str) -> None:
    from pipeline.register import versions

    located = versions.locate(model)
    metrics = located.recogniser.parents[1] / "about/metrics.json"
    if not metrics.is_file():
        raise errors.UserError(f"{model} is no registered version: only those carry their numbers")
    _print_numbers(f"version {located.version}", json.loads(metrics.read_text()))


def _print_numbers(name: str, metrics: dict) -> None:
    test = metrics["test"]
    drawn = "; drawn by code: no evidence about real photos" if metrics["drawn"] else ""
    print(
        f"\n{name}, {test['photos']} test photos{drawn}:\n"
        f"  accuracy  {test['accuracy']:.3f} ± {test['standard_error']:.3f}\n"
        f"  macro-F1  {test['macro_f1']:.3f}\n"
        f"  top-3     {test['top3']:.3f}\n"
        f"  log-loss  {test['log_loss']:.3f}"
    )
