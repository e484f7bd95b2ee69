"""The `animal` command.

Each command is a module named after it; the module's `add` adds it to the parser. A command imports
what it needs when it runs, so that `animal --help` takes no second.
"""

import argparse

from pipeline.cli import (
    app,
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
    app,
    serve,
    versions,
    promote,
    rollback,
    drift,
)


def main() -> None:
    """Parses the command line and runs the command."""
    parser = argparse.ArgumentParser(
        prog="animal", description="From folders of animal photos to a recogniser one can serve."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    arguments = parser.parse_args()
    errors.run(lambda: arguments.run(arguments))
