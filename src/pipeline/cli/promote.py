"""Lets a version serve."""

import argparse
from datetime import UTC, datetime

from pipeline.cli.versions import brief, tell_repaired
from pipeline.core import errors


def add(commands: argparse._SubParsersAction) -> None:
    promote = commands.add_parser("promote", help="let a version serve")
    promote.add_argument("version", type=int, help="its number")
    promote.add_argument("--why", help="for the audit log; needed where the gate kept it out")
    promote.set_defaults(run=_promote)


@brief()
def _promote(arguments: argparse.Namespace) -> None:
    started = datetime.now(UTC).isoformat()
    from pipeline.register import audit_log, promotion, versions

    tell_repaired(promotion.repair())
    version = versions.get(arguments.version)
    if version.stage == versions.STAGE:
        print(f"version {version.number} serves already")
        return
    failed = [check["reason"] for check in version.checks if not check["passed"]]
    if (failed or not version.checks) and not arguments.why:
        kept = "; ".join(failed) or "it was not judged yet"
        raise errors.UserError(
            f"the gate has not let version {version.number} in: {kept}. To promote it all the "
            "same, say why: --why '...'"
        )
    versions.folder(version)
    seen = sum(entry.when <= started for entry in audit_log.moves())
    promotion.promote(version, arguments.why or "by hand", "hand", seen)
    tell_served(audit_log.moves()[-1])


def tell_served(entry) -> None:
    before = "" if entry.before is None else f" in place of version {entry.before}"
    print(
        f"version {entry.version} serves now{before}, as models:/animal/Production and "
        "models:/animal@champion; a server that runs already has to be started anew"
    )
