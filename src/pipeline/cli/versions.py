"""Which version serves: look, promote, go back."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pipeline import errors


def add(commands: argparse._SubParsersAction) -> None:
    versions = commands.add_parser("versions", help="all versions, and what became of each")
    versions.add_argument("--log", action="store_true", help="who did what, when and why")
    versions.set_defaults(run=_versions)
    promote = commands.add_parser("promote", help="let a version serve")
    promote.add_argument("version", type=int, help="its number")
    promote.add_argument("--why", help="for the audit log; needed where the gate kept it out")
    promote.set_defaults(run=_promote)
    rollback = commands.add_parser("rollback", help="let the former champion serve again")
    rollback.add_argument("--why", default="by hand", help="for the audit log")
    rollback.set_defaults(run=_rollback)


@contextmanager
def _brief() -> Iterator[None]:
    """For a command that imports all of MLflow, does little and ends: to look for garbage among
    what was imported, then and at the end, takes a third of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@_brief()
def _versions(arguments: argparse.Namespace) -> None:
    from pipeline import audit, champions, registry

    _tell(champions.repair())
    log = audit.read()
    if arguments.log:
        for entry in log:
            print(f"{entry}: {entry.why}")
    else:
        found = registry.versions()
        if not found:
            raise errors.UserError("there are no versions yet; run `dvc repro`")
        print(_table([_row(version, log) for version in found]))
    if damage := audit.damage():
        raise errors.UserError(damage)


@_brief()
def _promote(arguments: argparse.Namespace) -> None:
    started = datetime.now(UTC).isoformat()
    from pipeline import audit, champions, registry

    _tell(champions.repair())
    version = registry.get(arguments.version)
    if version.stage == registry.STAGE:
        print(f"version {version.number} serves already")
        return
    failed = [check["reason"] for check in version.checks if not check["passed"]]
    if (failed or not version.checks) and not arguments.why:
        kept = "; ".join(failed) or "it was not judged yet"
        raise errors.UserError(
            f"the gate has not let version {version.number} in: {kept}. To promote it all the "
            "same, say why: --why '...'"
        )
    registry.folder(version)
    seen = sum(entry.when <= started for entry in audit.moves())
    champions.promote(version, arguments.why or "by hand", "hand", seen)
    _served(audit.moves()[-1])


@_brief()
def _rollback(arguments: argparse.Namespace) -> None:
    started = datetime.now(UTC).isoformat()
    from pipeline import audit, champions

    _tell(champions.repair())
    seen = sum(entry.when <= started for entry in audit.moves())
    _served(champions.rollback(arguments.why, seen))


def _served(entry) -> None:
    before = "" if entry.before is None else f" in place of version {entry.before}"
    print(
        f"version {entry.version} serves now{before}, as models:/animal/Production and "
        "models:/animal@champion; a server that runs already has to be started anew"
    )


def _tell(repaired) -> None:
    if repaired is not None:
        print(f"stage and alias disagreed: {repaired}: {repaired.why}")


def _row(version, log) -> dict[str, str]:
    about = [entry for entry in log if entry.version == version.number]
    failed = [check["name"] for check in version.checks if not check["passed"]]
    verdict = f"failed: {', '.join(failed)}" if failed else "passed" if version.checks else "-"
    numbers = [version.tags.get(name) for name in ("accuracy", "macro_f1")]
    accuracy, macro_f1 = (f"{float(number):.4f}" if number else "-" for number in numbers)
    return {
        "version": str(version.number),
        "stage": version.stage,
        "accuracy": accuracy,
        "macro-F1": macro_f1,
        "when": f"{version.made:%Y-%m-%d %H:%M}",
        "who": version.tags.get("by", "-"),
        "gate": verdict,
        "why": f"{about[-1].what}: {about[-1].why}" if about else "-",
    }


def _table(rows: list[dict[str, str]]) -> str:
    """Columns as wide as they must be; the last one as long as it is."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[-1] = 0
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
