"""The `animal` command.

A module a group of commands: its `add` tells the parser of them. What a command needs is imported
when it runs, so that `animal --help` is there at once.
"""

import argparse

from pipeline import errors
from pipeline.cli import bulk, collection, delivery, networks, results, serving, versions, watching

_GROUPS = (bulk, collection, delivery, networks, results, serving, versions, watching)


def main() -> None:
    """Runs the command that was typed."""
    parser = argparse.ArgumentParser(
        prog="animal", description="From folders of animal photos to a recogniser one can serve."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in _GROUPS:
        group.add(commands)
    arguments = parser.parse_args()
    errors.run(lambda: arguments.run(arguments))
