"""Lets the former champion serve again."""

import argparse
from datetime import UTC, datetime

from pipeline.cli.promote import tell_served
from pipeline.cli.versions import brief, tell_repaired


def add(commands: argparse._SubParsersAction) -> None:
    rollback = commands.add_parser("rollback", help="let the former champion serve again")
    rollback.add_argument("--why", default="by hand", help="for the audit log")
    rollback.set_defaults(run=_rollback)


@brief()
def _rollback(arguments: argparse.Namespace) -> None:
    started = datetime.now(UTC).isoformat()
    from pipeline.register import audit_log, promotion

    tell_repaired(promotion.repair())
    seen = sum(entry.when <= started for entry in audit_log.moves())
    tell_served(promotion.rollback(arguments.why, seen))
