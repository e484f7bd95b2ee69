"""Lets a version serve."""

import argparse
from typing import TYPE_CHECKING

from pipeline.cli.parser import Commands
from pipeline.cli.versions import print_repair
from pipeline.core import errors

if TYPE_CHECKING:
    from pipeline.register.audit_log import Entry


def add(commands: Commands) -> None:
    promote = commands.add_parser(
        "promote", help="let a version serve", example="promote 3 --why 'knows the owls'"
    )
    promote.add_argument("version", type=int, help="its number")
    promote.add_argument("--why", help="for the audit log; needed where the gate kept it out")
    promote.set_defaults(run=_promote)


def _promote(arguments: argparse.Namespace) -> None:
    from pipeline.register import audit_log, promotion, versions

    print_repair(promotion.repair())
    seen = len(audit_log.moves())
    version = versions.get(arguments.version)
    if version.stage == versions.STAGE:
        print(f"version {version.number} serves already")
        return
    failed = [check["reason"] for check in version.checks if not check["passed"]]
    if (failed or not version.checks) and not arguments.why:
        reason = "; ".join(failed) or "it was not judged yet"
        raise errors.UserError(
            f"the gate has not let version {version.number} in: {reason}. To promote it all the "
            "same, say why: --why '...'"
        )
    versions.folder(version)
    print_served(promotion.promote(version, arguments.why or "by hand", "hand", seen))


def print_served(entry: "Entry") -> None:
    """Prints which version serves from now on."""
    before = "" if entry.before is None else f" in place of version {entry.before}"
    print(
        f"version {entry.version} serves now{before}, as models:/animal/Production and "
        "models:/animal@champion; a server that runs already has to be started anew"
    )
