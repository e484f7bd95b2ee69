"""Summarises the last run: `animal summary`."""

import argparse
import json
from pathlib import Path

from pipeline.core import errors


def add(commands: argparse._SubParsersAction) -> None:
    summary = commands.add_parser("summary", help="results of the last test, and the next commands")
    summary.set_defaults(run=_summary)


def _summary(_: argparse.Namespace) -> None:
    from pipeline.core import params

    metrics, decision = Path("reports/metrics.json"), Path("reports/registration.json")
    if not (metrics.exists() and decision.exists()):
        raise errors.UserError("there are no results yet; run `dvc repro`")
    results = json.loads(metrics.read_text())
    test = results["test"]
    registration = json.loads(decision.read_text())
    source = params.load().ingest.source
    drawn = "; drawn by code: no evidence about real photos" if results["drawn"] else ""
    print(
        f"\n{source}, {test['photos']} test photos{drawn}:\n"
        f"  accuracy  {test['accuracy']:.3f} ± {test['standard_error']:.3f}\n"
        f"  macro-F1  {test['macro_f1']:.3f}\n"
        f"  top-3     {test['top3']:.3f}\n"
        f"  log-loss  {test['log_loss']:.3f}\n"
        f"version {registration['version']}: {registration['outcome']}\n\n"
        "Next:\n"
        "  . .venv/bin/activate\n"
        "  mlflow models serve -m models:/animal/Production --env-manager local --port 5001\n"
        "  mlflow ui"
    )
