"""Registers the tested recogniser, and lets it serve if it passes the gate."""

import json
import sys
from pathlib import Path

from pipeline.core import atomic, params, stage_timer, tracking, workspace
from pipeline.register import last_run

REPORTS = Path("reports")
REGISTRATION, CARD, PAGE = (
    REPORTS / name for name in ("registration.json", "model_card.md", "index.html")
)


def main() -> None:
    p = params.load()
    read = last_run.inputs(p.register_)
    if last_run.unchanged(read):
        print("nothing has changed since the last run:")
        show(json.loads(REGISTRATION.read_text()))
        sys.exit()  # its time is not that of a run
    atomic.clear(REGISTRATION, CARD, PAGE)  # or a failure would leave them beside other numbers
    show(register(p.register_))
    last_run.remember(read)


def register(limits: params.Register) -> dict:
    """Returns the decision, as `gate.decide` does."""
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
    with atomic.atomic_write(REGISTRATION) as path:
        path.write_text(json.dumps(decision, indent=2) + "\n")
    with atomic.atomic_write(CARD) as path:
        path.write_text(packaging.model_card_of(challenger), encoding="utf-8")
    with atomic.atomic_write(PAGE) as path:
        changed = comparison.pictures(decision.get("comparison"), challenger.root)
        path.write_text(report_page.draw(REPORTS, changed), encoding="utf-8")
    with tracking.run("register", run_id=challenger.metrics["run_id"]):
        for path in (PAGE, CARD, REGISTRATION):
            tracking.log_folder(path)
    return decision


def show(decision: dict) -> None:
    print(f"version {decision['version']}: {decision['outcome']}")
    for check in decision["checks"]:
        print(f"  {'passed' if check['passed'] else 'FAILED'}: {check['reason']}")


if __name__ == "__main__":
    stage_timer.run(main)
