"""The `animal` command.

Each command is a module named after it: `add` adds it to the parser, and `run` runs it. A command
imports what it needs when it runs, so that `animal --help` takes no second.
"""

from pipeline.cli import (
    app,
    backbones,
    completion,
    doctor,
    drift,
    export,
    feedback,
    parser,
    predict,
    promote,
    rollback,
    serve,
    status,
    suggest,
    summary,
    use,
    versions,
)
from pipeline.core import errors

GROUPS = {
    "Collect": (use, suggest, feedback),
    "Train (then run `dvc repro`)": (status, backbones),
    "Inspect": (summary, versions, promote, rollback, drift),
    "Serve": (predict, app, serve, export),
    "This installation": (doctor, completion),
}


def main() -> None:
    """Parses the command line and runs the command."""
    arguments = parser.build(GROUPS).parse_args()
    errors.run(lambda: arguments.run(arguments))
