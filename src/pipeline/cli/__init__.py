"""The `animal` command.

A module a command, named after it: its `add` tells the parser of it. What a command needs is
imported when it runs, so that `animal --help` is there at once.
"""

import argparse

from pipeline.cli import (
    backbones,
    drift,
    export,
    predict,
    promote,
    rollback,
    serve,
    summary,
    use,
    versions,
)
from pipeline.core import errors

_COMMANDS = (
    predict,
    use,
    export,
    backbones,
    summary,
    serve,
    versions,
    promote,
    rollback,
    drift,
)


def main() -> None:
    """Runs the command that was typed."""
    parser = argparse.ArgumentParser(
        prog="animal", description="From folders of animal photos to a recogniser one can serve."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    arguments = parser.parse_args()
    errors.run(lambda: arguments.run(arguments))
