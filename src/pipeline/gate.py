"""The gate: what a recogniser must reach before it serves."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import packaging, params, registry


@dataclass(frozen=True)
class Check:
    """One condition of the gate: what was measured, what it must reach, and whether it does."""

    name: str
    measured: float | None
    limit: float | None
    passed: bool
    reason: str


def judge(
    accuracy: float,
    labels: list[str],
    champion: registry.Version | None,
    rivals: tuple[float, float, int] | None,
    min_accuracy: float,
    max_drop: float,
) -> list[Check]:
    """Decides whether a model may serve.

    Args:
        accuracy: Of the challenger, on its test photos.
        labels: Species the challenger knows.
        champion: The version that serves now; None if none does.
        rivals: Accuracy of the challenger and of the champion on the same photos that neither has
            learned from, and how many those are; None if the two cannot be compared.
        min_accuracy: `register.min_accuracy`.
        max_drop: `register.max_drop`.

    Returns:
        The checks; the model may serve if all passed.
    """
    enough = accuracy >= min_accuracy
    word = "reaches" if enough else "is below"
    floor = f"test accuracy {accuracy:.4f} {word} register.min_accuracy {min_accuracy:g}"
    checks = [Check("min_accuracy", accuracy, min_accuracy, enough, floor)]
    if champion is None:
        return [
            *checks,
            Check("max_drop", None, None, True, "there is no champion yet"),
        ]
    named = f"champion, version {champion.number},"
    if rivals is None:
        others = sorted(set(labels) ^ set(champion.labels))
        only_one = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        why = (
            f"knows other species ({only_one} known to one of the two)"
            if only_one
            else f"has learned from all but under {registry.LEAST_TO_COMPARE} of these test photos"
        )
        reason = f"the {named} {why}; they cannot be compared, so the floors alone decide"
        return [*checks, Check("max_drop", None, None, True, reason)]
    ours, theirs, photos = rivals
    held = ours >= theirs - max_drop
    word = "not worse" if held else "worse"
    reason = (
        f"accuracy {ours:.4f} is {word} than {theirs:.4f} of the {named} on the same {photos} "
        f"photos, less register.max_drop {max_drop:g}"
    )
    return [*checks, Check("max_drop", ours, theirs - max_drop, held, reason)]


def decide(
    folder: Path,
    metrics: dict,
    predictions: pd.DataFrame,
    split: pd.DataFrame,
    root: Path,
    limits: params.Register,
) -> dict[str, Any]:
    """Registers a recogniser if this very one is not there, and promotes it if it passes the gate.

    Args:
        folder: `models/final`.
        metrics: What evaluate found.
        predictions: What it answered to each test photo, as `read_predictions` gives it.
        split: What split wrote.
        root: The folder that the photos' paths start from.
        limits: The params of the gate.

    Returns:
        version, outcome (in words), promoted, and the checks with their reasons.
    """
    accuracy, tested_on = metrics["test"]["accuracy"], registry.photos_digest(predictions)
    challenger = registry.find(packaging.content(folder))
    new = challenger is None
    if new:
        learned = split.loc[split["split"] != "test", "photo"]
        challenger = registry.register(folder, metrics["run_id"], tested_on, accuracy, learned)
    now = registry.champion()
    if now is not None and now.number == challenger.number:
        outcome = "serves already; nothing to do"
        return {"version": now.number, "outcome": outcome, "promoted": True, "checks": now.checks}
    case = f"{now and now.number} {tested_on} {limits.model_dump_json()}"
    found = challenger.checks
    if challenger.case != case:  # a champion is not tested again for a case that is decided
        rivals = None
        if now is not None and set(now.labels) == set(challenger.labels):
            rivals = registry.compare(now, predictions, root)
        floors = limits.min_accuracy, limits.max_drop
        checks = judge(accuracy, challenger.labels, now, rivals, *floors)
        found = [asdict(check) for check in checks]
        registry.note(challenger.number, gate=json.dumps(found), case=case)
    promoted = all(check["passed"] for check in found)
    if promoted:
        registry.promote(challenger.number)
    outcome = "promoted to Production" if promoted else "does not serve; the champion stays"
    return {
        "version": challenger.number,
        "outcome": f"{'registered' if new else 'was registered before'}; {outcome}",
        "promoted": promoted,
        "checks": found,
    }
