"""The gate: what a recogniser must reach before it serves."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core import params
from pipeline.core.errors import UserError
from pipeline.inference import checksums
from pipeline.inference.litert import PARITY
from pipeline.inference.pooling import BLANK
from pipeline.register import audit_log, comparison, packaging, promotion, replay, versions
from pipeline.register.packaging import Challenger

LEAST_TO_COMPARE = 30  # photos; fewer say nothing about a difference of some points
LEAST_TO_RECALL = 10  # photos of a species; fewer say nothing about its recall


@dataclass(frozen=True)
class Check:
    """One condition of the gate: what was measured, what it must reach, and whether it does.

    Attributes:
        name: What is judged.
        measured: The number, or None where there was nothing to measure.
        limit: What it is held against.
        passed: The verdict.
        reason: All of that as a sentence.
        values: What the sentence names besides, for the page, which words it in six languages. None
            where only the sentence says what is wrong.
    """

    name: str
    measured: float | None
    limit: float | None
    passed: bool
    reason: str
    values: dict[str, Any] | None = None

    @classmethod
    def at_least(
        cls, name: str, what: str, measured: float, limit: float, **values: Any
    ) -> "Check":
        """Checks that a number reaches a limit; `what` is the number in words."""
        passed = measured >= limit
        reason = f"{what}: {measured:.4g} {'reaches' if passed else 'is below'} {limit:g}"
        return cls(name, measured, limit, passed, reason, values)

    @classmethod
    def at_most(cls, name: str, what: str, measured: float, limit: float) -> "Check":
        """Checks that a number is not above a limit; `what` is the number in words."""
        passed = measured <= limit
        reason = f"{what}: {measured:.4g} {'is within' if passed else 'is above'} {limit:g}"
        return cls(name, measured, limit, passed, reason, {})


def judge(
    challenger: Challenger,
    version: versions.Version,
    champion: versions.Version | None,
    limits: params.Register,
) -> list[Check]:
    """Decides whether a model may serve.

    Args:
        challenger: The model, as the stages left it.
        version: The same, as registered.
        champion: The version that serves now; None if none does.
        limits: `register` of the params.

    Returns:
        The checks; the model may serve if all passed.
    """
    try:
        checksums.verify(challenger.folder)
    except checksums.ChecksumMismatch as error:  # nothing else it says can be believed
        return [Check("files", None, None, False, f"not the files that evaluate wrote: {error}")]
    checks = [
        Check("files", None, None, True, "the files are those that evaluate wrote"),
        *_numbers(challenger, limits),
        *_costs(challenger.folder / "model.tflite", limits),
        _parity(challenger.metrics["keras_and_litert"]),
        _answers(version, challenger),
    ]
    if champion is None:
        return [*checks, Check("champion", None, None, True, "there is no champion yet")]
    older = _data(version, champion, versions.versions())
    compared = _compared(champion, challenger)
    comparable = None if isinstance(compared, str) else compared
    versions.note(version, {"comparison": json.dumps(comparable)})
    return [*checks, older, _against(champion, compared, limits)]


def decide(challenger: Challenger, limits: params.Register) -> dict[str, Any]:
    """Registers a recogniser if this very one is not there, and promotes it if it passes the gate.

    A version that a person took out of service stays out until a person lets it in again.

    Returns:
        version, outcome (in words), promoted, champion (the number of the version that serves from
        now on; None for none), and the checks with their reasons.

    Raises:
        UserError: Another version was promoted meanwhile, or the champion's files were altered.
    """
    promotion.repair()
    version = versions.find(challenger.content)
    known = "was registered before" if version else "registered"
    version = version or packaging.register(challenger)
    seen, champion = len(audit_log.moves()), versions.champion()

    def decision(outcome: str, promoted: bool, checks: list[dict]) -> dict[str, Any]:
        compared = versions.get(version.number).comparison  # which may be new
        return {
            "version": version.number,
            "outcome": outcome,
            "promoted": promoted,
            "champion": version.number if promoted else champion and champion.number,
            "checks": checks,
            **({"comparison": compared} if compared else {}),
        }

    if champion is not None and champion.number == version.number:
        return decision("serves already; nothing to do", True, version.checks)
    if taken := promotion.replaced_by_hand(version):
        outcome = f"stays out: {taken}. `animal promote {version.number}` brings it back"
        return decision(outcome, False, version.checks)

    case = f"{champion and champion.number} {challenger.tested_on} {limits.model_dump_json()}"
    checks = version.checks
    if version.case != case:  # a champion is not tested again for a case that is decided
        checks = [asdict(check) for check in judge(challenger, version, champion, limits)]
        versions.note(version, _tags(checks) | {"case": case})
    failed = [check["reason"] for check in checks if not check["passed"]]
    if failed:
        if version.case != case or version.stage != "Staging":
            promotion.keep_out(version, "; ".join(failed))
        rest = "the champion stays" if champion else "there is no champion yet"
        return decision(f"{known}; does not serve; {rest}", False, checks)
    promotion.promote(version, "it passed the gate", "gate", seen)
    return decision(f"{known}; promoted to Production", True, checks)


def _numbers(challenger: Challenger, limits: params.Register) -> list[Check]:
    """Holds the numbers of evaluate against the floors; of events, where photos come in bursts."""
    events = challenger.metrics.get("events")
    test, unit = (events, "events") if events else (challenger.metrics["test"], "photos")
    species = challenger.species.set_index("species")[["recall", "support"]]
    if events:
        species = pd.DataFrame.from_dict(events["species"], orient="index")
    species = species.drop(index=BLANK, errors="ignore")
    least, floor = min(LEAST_TO_RECALL, species["support"].max()), limits.min_species_recall
    row = species[species["support"] >= least].sort_values("recall", kind="stable").iloc[0]
    worst = {"species": row.name, "photos": int(row["support"])}
    what = f"recall of the worst species, {row.name} ({row['support']:.0f} {unit})"
    off, most = test["calibration_error"], limits.max_calibration_error
    named = "test accuracy" if unit == "photos" else "test accuracy of events"
    return [
        Check.at_least("accuracy", named, test["accuracy"], limits.min_accuracy),
        Check.at_least("macro_f1", "macro-F1", test["macro_f1"], limits.min_macro_f1),
        Check.at_least("worst_recall", what, float(row["recall"]), floor, **worst),
        Check.at_most("calibration", "expected calibration error", off, most),
    ]


def _costs(network: Path, limits: params.Register) -> list[Check]:
    model = network.read_bytes()
    milliseconds, most = replay.latency(model), limits.max_latency_ms
    return [
        Check.at_most("latency", "ms of a picture on one core, best round", milliseconds, most),
        Check.at_most("size", "MB of model.tflite", len(model) / 1e6, limits.max_size_mb),
    ]


def _parity(compared: dict) -> Check:
    apart, pictures = compared["largest_difference"], compared["pictures"]
    passed = compared["same_label"] == pictures and apart <= PARITY
    reason = (
        f"Keras and LiteRT name the same species on {compared['same_label']} of {pictures} test "
        f"photos, probabilities up to {apart:.2g} apart; {PARITY:g} is allowed"
    )
    values = {"same": compared["same_label"], "photos": pictures}
    return Check("parity", apart, PARITY, passed, reason, values)


def _answers(version: versions.Version, challenger: Challenger) -> Check:
    """Checks that a version answers as evaluate wrote down, on a sample of the test photos."""
    evaluated = replay.sample(challenger.predictions, challenger.compared)
    try:
        replayed = replay.answers(replay.version(version), evaluated, challenger.root)
    except replay.PhotoUnreadable:
        raise
    except UserError as error:
        return Check("answers", None, PARITY, False, str(error))
    same = int((replayed["species"] == evaluated["predicted"]).sum())
    apart = float((replayed["probability"] - evaluated["probability"]).abs().max())
    passed = same == len(evaluated) and apart <= PARITY
    reason = (
        f"answers: as evaluated on {same} of {len(evaluated)} test photos, probabilities up to "
        f"{apart:.2g} apart; {PARITY:g} is allowed"
    )
    values = {"same": same, "photos": len(evaluated)}
    return Check("answers", apart, PARITY, passed, reason, values)


def _data(
    version: versions.Version, champion: versions.Version, registered: list[versions.Version]
) -> Check:
    """Checks that the challenger learned from no collection that the champion's has replaced.

    A collection counts as older if a version was made from it before the first one was made from
    the champion's.
    """
    first: dict[str, int] = {}
    for known in registered:
        first.setdefault(known.tags.get("manifest_sha256", ""), known.number)
    ours, theirs = (first[v.tags.get("manifest_sha256", "")] for v in (version, champion))
    if ours >= theirs:
        return Check("data", None, None, True, "its photos are not older than the champion's")
    reason = (
        f"older data: it learned from the photos of version {ours}; the champion, version "
        f"{champion.number}, from later ones"
    )
    values = {"version": ours, "champion": champion.number}
    return Check("data", None, None, False, reason, values)


def _compared(champion: versions.Version, challenger: Challenger) -> dict[str, Any] | str:
    """Compares with the champion, on the test photos that it has not learned from.

    After a new split it may have trained on most of them, and would win by memory.

    Returns:
        From `comparison.compare`, with the champion's number; or why they cannot be compared.
    """
    if others := sorted(set(challenger.labels) ^ set(champion.labels)):
        only = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        return f"knows other species ({only} known to one of the two)"
    folder = versions.folder(champion)
    learned = (folder / versions.RECOGNISER / packaging.LEARNED_FROM).read_text().split()
    known = challenger.predictions["photo"].isin(learned)
    fresh = challenger.predictions[~known].rename(columns={"predicted": "challenger"})
    if len(fresh) < LEAST_TO_COMPARE:
        return f"has learned from all but {len(fresh)} of these test photos"
    recorded = packaging.recorded_answers(folder)
    answer = replay.version(champion)
    theirs = replay.species(answer, recorded, fresh, challenger.root, challenger.compared)
    groups = fresh["photo"].map(challenger.split.set_index("photo")["group"])
    compared = comparison.compare(fresh.assign(champion=theirs, group=groups))
    return {"champion": champion.number, **compared}


def _against(
    champion: versions.Version, compared: dict[str, Any] | str, limits: params.Register
) -> Check:
    """Checks that a comparison shows the challenger to be as good as the params want it."""
    named = f"the champion, version {champion.number},"
    if isinstance(compared, str):
        floors = "they cannot be compared, so the floors alone decide"
        return Check("champion", None, None, True, f"{named} {compared}; {floors}")
    low, high = compared["one_sided"]
    limit = 0.0 if limits.must_be_better else -limits.max_drop
    passed = low > 0 if limits.must_be_better else low >= limit
    wanted = "better" if limits.must_be_better else f"not worse by over {limits.max_drop:g}"
    reason = (
        f"accuracy {compared['accuracy']:.4f} against {compared['champion_accuracy']:.4f} of "
        f"{named} on {compared['photos']} photos that neither has learned from: between {low:+.4f} "
        f"and {high:+.4f}, which {'shows' if passed else 'does not show'} that it is {wanted}"
    )
    values = {"version": champion.number}
    return Check("champion", float(low), limit, bool(passed), reason, values)


def _tags(checks: list[dict]) -> dict[str, str]:
    """Returns the checks as tags: all as JSON, and each as a line for a person."""
    verdicts = {
        f"gate.{check['name']}": f"{'passed' if check['passed'] else 'FAILED'}: {check['reason']}"
        for check in checks
    }
    return {"gate": json.dumps(checks), **verdicts}
