"""All versions, and what became of each."""

import argparse
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core import errors


def add(commands: argparse._SubParsersAction) -> None:
    versions = commands.add_parser("versions", help="all versions, and what became of each")
    versions.add_argument("--log", action="store_true", help="who did what, when and why")
    versions.set_defaults(run=_versions)


@contextmanager
def brief() -> Iterator[None]:
    """For a command that imports all of MLflow, does little and ends: to look for garbage among
    what was imported, then and at the end, takes a third of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@brief()
def _versions(arguments: argparse.Namespace) -> None:
    from pipeline.register import audit_log, promotion, versions

    tell_repaired(promotion.repair())
    log = audit_log.read()
    if arguments.log:
        for entry in log:
            print(f"{entry}: {entry.why}")
    else:
        found = versions.versions()
        if not found:
            raise errors.UserError("there are no versions yet; run `dvc repro`")
        print(_table([_row(version, log) for version in found]))
    if damage := audit_log.damage():
        raise errors.UserError(damage)


def tell_repaired(repaired) -> None:
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
