"""Reports drift: `animal drift`."""

import argparse
import sys
import traceback
from pathlib import Path

from pipeline.cli.parser import Commands


def add(commands: Commands) -> None:
    drift = commands.add_parser(
        "drift",
        help="compare photos and answers with a version's validation photos",
        example="drift predictions.csv --days 30",
        epilog="Exit codes: 0 no drift, 1 drift, 2 no verdict.",
    )
    drift.add_argument("log", type=Path, help="request log, or a file that animal predict wrote")
    drift.add_model()
    drift.add_argument("--days", type=float, help="only the answers of the last so many days")
    drift.add_argument("--output", type=Path, default=Path("reports/drift"), help="folder")


def run(arguments: argparse.Namespace) -> None:
    from pipeline.core.errors import UserError

    try:
        sys.exit(_drifted(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except Exception:  # whatever went wrong, a scheduler must not take it for drift
        traceback.print_exc()
    sys.exit(2)


def _drifted(arguments: argparse.Namespace) -> bool:
    from pipeline.core import atomic, workspace
    from pipeline.monitor import drift
    from pipeline.register import versions

    workspace.require_target_outside(arguments.output)
    atomic.require_own(arguments.output)
    now = drift.read(arguments.log, arguments.days)
    changes = drift.compare(drift.read_reference(versions.locate(arguments.model).recogniser), now)
    drift.save(changes, len(now), arguments.output)
    print(drift.page(changes, len(now)))
    return any(change.drifted for change in changes)
