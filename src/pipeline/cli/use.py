"""`animal use`: sets the collection that the project learns from."""

import argparse
from pathlib import Path

from pipeline.cli.parser import Commands


def add(commands: Commands) -> None:
    use = commands.add_parser(
        "use", help="learn from another collection of photos", example="use ~/photos/forest"
    )
    use.add_argument("source", help="folder of photos, zip or tar of one, table, or recipe")


def run(arguments: argparse.Namespace) -> None:
    from pipeline.sources import reader

    name = reader.choose(Path(arguments.source).expanduser())
    print(f"params.yaml: ingest.source is {name} now; `dvc repro` learns from it")
