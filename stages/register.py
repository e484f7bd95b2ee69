"""Registers the tested recogniser, and lets it serve if it passes the gate."""

import json
from pathlib import Path

from pipeline.core import atomic, params, stage_timer, tracking, workspace
from pipeline.register import last_run

REPORTS = Path("reports")


def main() -> None:
    p = params.load()
    if not last_run.changed(p.register_):
        print("nothing to do: recogniser and registry are as the last run left them")
        return
    decide(p.register_)
    last_run.remember(p.register_)


def decide(limits: params.Register) -> None:
    # Imported here, for where nothing has changed they would take longer than all else.
    import pandas as pd

    from pipeline.evaluate import report_page
    from pipeline.register import comparison, gate, packaging

    challenger = packaging.Challenger(
        folder=Path("models/final"),
        metrics=json.loads((REPORTS / "metrics.json").read_text()),
        species=packaging.read_table(REPORTS / "plots/per_species.csv"),
        predictions=packaging.read_table(REPORTS / "predictions.csv"),
        manifest=pd.read_parquet("data/ingested/manifest.parquet"),
        split=pd.read_parquet("data/split.parquet"),
        root=workspace.collection_root(Path("data/ingested")),
    )
    decision = gate.decide(challenger, limits)
    with atomic.atomic_write(REPORTS / "registration.json") as path:
        path.write_text(json.dumps(decision, indent=2) + "\n")
    with atomic.atomic_write(REPORTS / "model_card.md") as path:
        path.write_text(packaging.model_card_of(challenger), encoding="utf-8")
    with atomic.atomic_write(REPORTS / "index.html") as path:
        changed = comparison.pictures(decision.get("comparison"), challenger.root)
        path.write_text(report_page.draw(REPORTS, changed), encoding="utf-8")
    with tracking.run("register", run_id=challenger.metrics["run_id"]):
        for name in ("index.html", "model_card.md", "registration.json"):
            tracking.log_folder(REPORTS / name)
    print(f"version {decision['version']}: {decision['outcome']}")
    for check in decision["checks"]:
        print(f"  {'passed' if check['passed'] else 'FAILED'}: {check['reason']}")


if __name__ == "__main__":
    stage_timer.run(main)
