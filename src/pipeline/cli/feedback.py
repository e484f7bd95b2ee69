"""Lists people's decisions on photos: `animal feedback`."""

import argparse
from collections import Counter
from pathlib import Path

from pipeline.cli.parser import Commands
from pipeline.core import errors


def add(commands: Commands) -> None:
    feedback = commands.add_parser(
        "feedback",
        help="list what people corrected on the page",
        example="feedback data/feedback --export decisions.csv",
    )
    feedback.add_argument(
        "folder", nargs="?", type=Path, help="default: ingest.feedback of params.yaml"
    )
    feedback.add_argument(
        "--export", metavar="FILE", help="also write every decision to a new CSV file"
    )


def run(arguments: argparse.Namespace) -> None:
    from pipeline.core import params
    from pipeline.sources.feedback import Feedback

    feedback = Feedback(arguments.folder or Path(params.load().ingest.feedback))
    decisions = feedback.decisions()
    if not decisions:
        raise errors.UserError(
            f"{feedback.folder} holds no decisions yet: open the page with "
            f"`animal app --feedback {feedback.folder}`, and review photos there"
        )
    if arguments.export:
        _write(decisions, arguments.export)
    settled = feedback.settled().values()
    people = Counter(who for one in settled for who in one.by)
    by = ", ".join(f"{who} ({number})" for who, number in sorted(people.items()))
    print(f"{len(settled)} photos, by {by}")
    counts = Counter(
        one.verdict or ("in dispute" if one.disputed else "withdrawn") for one in settled
    )
    width = max(map(len, counts))
    for what, number in counts.most_common():
        print(f"  {what:{width}}  {number}")
    for one in settled:
        if one.disputed:
            print(f"disagreement on {one.file}: {one.describe()}")


def _write(decisions: list, target: str) -> None:
    import pandas as pd

    from pipeline.core import atomic, workspace

    workspace.require_target_outside(Path(target))
    with atomic.new_file(target) as path:
        pd.DataFrame(decisions, dtype=object).to_csv(path, index=False, encoding="utf-8-sig")
    print(f"{target}: {len(decisions)} decisions")
