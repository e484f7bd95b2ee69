"""All versions, and what became of each."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.cli.parser import Commands
from pipeline.core import errors

if TYPE_CHECKING:
    from pipeline.register.audit_log import Entry
    from pipeline.register.versions import Version


def add(commands: Commands) -> None:
    versions = commands.add_parser(
        "versions", help="list all versions, and what became of each", example="versions --log"
    )
    versions.add_argument("--log", action="store_true", help="who did what, when and why")
    versions.add_argument("--json", action="store_true", help="print it for a script")


def run(arguments: argparse.Namespace) -> None:
    from pipeline.register import audit_log, promotion, versions

    print_repair(promotion.repair())
    log = audit_log.read()
    if arguments.log and arguments.json:
        print(json.dumps([asdict(entry) for entry in log], indent=2))
        return
    if arguments.log:
        for entry in log:
            print(f"{entry}: {entry.why}")
        return
    registered = versions.versions()
    if not registered:
        raise errors.UserError("there are no versions yet; run `dvc repro`")
    rows = [_row(version, log) for version in registered]
    print(json.dumps(rows, indent=2) if arguments.json else _table(rows))


def print_repair(repaired: "Entry | None") -> None:
    """Prints what `promotion.repair` did, if it did anything."""
    if repaired is not None:
        print(f"stage, alias and log disagreed: {repaired}: {repaired.why}")


def _row(version: "Version", log: "list[Entry]") -> dict[str, str]:
    entries = [entry for entry in log if entry.version == version.number]
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
        "why": f"{entries[-1].what}: {entries[-1].why}" if entries else "-",
    }


def _table(rows: list[dict[str, str]]) -> str:
    """Lays out columns as wide as they must be; the last one as long as it is."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[-1] = 0
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
