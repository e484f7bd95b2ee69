"""The `animal` command."""

import argparse
import json
from pathlib import Path

from pipeline import errors, params


def main() -> None:
    """Runs the command that was typed."""
    parser = argparse.ArgumentParser(
        prog="animal", description="From folders of animal photos to a recogniser one can serve."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    use = commands.add_parser("use", help="learn from another collection of photos")
    use.add_argument("source", help="folder of class folders, zip or tar of one, or recipe")
    use.set_defaults(run=_use)
    summary = commands.add_parser("summary", help="what the last test found, and how to go on")
    summary.set_defaults(run=_summary)
    arguments = parser.parse_args()
    errors.run(lambda: arguments.run(arguments))


def _use(arguments: argparse.Namespace) -> None:
    source = Path(arguments.source).expanduser()
    if not source.exists():
        raise errors.UserError(f"there is no {source}")
    here = Path.cwd()
    source = source.resolve()
    name = source.relative_to(here) if source.is_relative_to(here) else source
    params.set_source(name.as_posix())
    print(f"params.yaml: ingest.source is {name} now; `dvc repro` learns from it")


def _summary(_: argparse.Namespace) -> None:
    metrics, decision = Path("reports/metrics.json"), Path("reports/registration.json")
    if not (metrics.exists() and decision.exists()):
        raise errors.UserError("there are no results yet; run `dvc repro`")
    found = json.loads(metrics.read_text())
    test = found["test"]
    decided = json.loads(decision.read_text())
    source = params.load().ingest.source
    drawn = "; drawn by code, so this says nothing about real photos" if found["drawn"] else ""
    print(
        f"\n{source}, {test['photos']} test photos{drawn}:\n"
        f"  accuracy  {test['accuracy']:.3f} ± {test['standard_error']:.3f}\n"
        f"  macro-F1  {test['macro_f1']:.3f}\n"
        f"  top-3     {test['top3']:.3f}\n"
        f"  log-loss  {test['log_loss']:.3f}\n"
        f"version {decided['version']}: {decided['outcome']}\n\n"
        "Go on with:\n"
        "  . .venv/bin/activate\n"
        "  mlflow models serve -m models:/animal/Production --env-manager local --port 5001\n"
        "  mlflow ui"
    )
