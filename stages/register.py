"""Registers the tested recogniser, and lets it serve if it passes the gate."""

import json
from pathlib import Path

import pandas as pd

from pipeline import errors, outputs, params, registry
from pipeline.sources import folders

FINAL, REPORTS = Path("models/final"), Path("reports")


def main() -> None:
    p = params.load()
    predictions = pd.read_csv(REPORTS / "predictions.csv")
    metrics = json.loads((REPORTS / "metrics.json").read_text())
    root = folders.root(p.ingest.source, Path("data/photos/files"))
    decision = registry.decide(FINAL, metrics, predictions, root, p.register_)
    with outputs.whole(REPORTS / "registration.json") as path:
        path.write_text(json.dumps(decision, indent=2) + "\n")
    print(f"version {decision['version']}: {decision['outcome']}")
    for check in decision["checks"]:
        print(f"  {'passed' if check['passed'] else 'FAILED'}: {check['reason']}")


if __name__ == "__main__":
    errors.run(main)
