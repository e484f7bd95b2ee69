"""Lets the former champion serve again."""

import argparse

from pipeline.cli.parser import Commands
from pipeline.cli.promote import print_served
from pipeline.cli.versions import print_repair


def add(commands: Commands) -> None:
    rollback = commands.add_parser(
        "rollback",
        help="let the former champion serve again",
        example="rollback --why 'takes foxes for dogs'",
    )
    rollback.add_argument("--why", default="by hand", help="for the audit log")


def run(arguments: argparse.Namespace) -> None:
    from pipeline.register import audit_log, promotion

    print_repair(promotion.repair())
    print_served(promotion.rollback(arguments.why, len(audit_log.moves())))
