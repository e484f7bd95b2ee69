"""Lets a version serve."""

import argparse
from typing import TYPE_CHECKING

from pipeline.cli.parser import Commands
from pipeline.cli.versions import print_repair

if TYPE_CHECKING:
    from pipeline.register.audit_log import Entry


def add(commands: Commands) -> None:
    promote = commands.add_parser(
        "promote", help="let a version serve", example="promote 3 --why 'knows the owls'"
    )
    promote.add_argument("version", type=int, help="its number")
    promote.add_argument("--why", help="for the audit log; needed where the gate kept it out")


def run(arguments: argparse.Namespace) -> None:
    from pipeline.register import promotion, versions

    print_repair(promotion.repair())
    if versions.get(arguments.version).stage == versions.STAGE:
        print(f"version {arguments.version} serves already")
        return
    print_served(promotion.promote_by_hand(arguments.version, arguments.why))


def print_served(entry: "Entry") -> None:
    """Prints which version serves from now on."""
    before = "" if entry.before is None else f" in place of version {entry.before}"
    print(
        f"version {entry.version} serves now{before}, as models:/animal/Production and "
        "models:/animal@champion; a server that runs already has to be started anew"
    )
