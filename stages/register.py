"""Registers the tested recogniser, and lets it serve if it passes the gate."""

import json
from pathlib import Path

import pandas as pd

from pipeline import errors, gate, outputs, params, registry, tracking
from pipeline.sources import folders

FINAL, REPORTS = Path("models/final"), Path("reports")


def main() -> None:
    p = params.load()
    predictions = registry.read_predictions(REPORTS / "predictions.csv")
    split = pd.read_parquet("data/split.parquet")
    metrics = json.loads((REPORTS / "metrics.json").read_text())
    root = folders.root(p.ingest.source, Path("data/photos/files"))
    decision = gate.decide(FINAL, metrics, predictions, split, root, p.register_)
    with outputs.whole(REPORTS / "registration.json") as path:
        path.write_text(json.dumps(decision, indent=2) + "\n")
    with tracking.run("register", run_id=metrics["run_id"]):
        tracking.log_folder(REPORTS / "registration.json")
    print(f"version {decision['version']}: {decision['outcome']}")
    for check in decision["checks"]:
        print(f"  {'passed' if check['passed'] else 'FAILED'}: {check['reason']}")


if __name__ == "__main__":
    errors.run(main)
