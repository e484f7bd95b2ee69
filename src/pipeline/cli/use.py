"""`animal use`: sets the collection that the project learns from."""

import argparse
from pathlib import Path

from pipeline.cli.parser import Commands
from pipeline.core import errors


def add(commands: Commands) -> None:
    use = commands.add_parser(
        "use", help="learn from another collection of photos", example="use ~/photos/forest"
    )
    use.add_argument("source", help="folder of photos, zip or tar of one, table, or recipe")
    use.set_defaults(run=_use)


def _use(arguments: argparse.Namespace) -> None:
    from pipeline.core import params
    from pipeline.sources import folders
    from pipeline.sources.recipes import recipe

    source = Path(arguments.source).expanduser()
    if not source.exists():
        raise errors.UserError(f"there is no {source}")
    folders.require_apart(str(source))
    if recipe.is_recipe(source):
        recipe.read(source)  # a mistake in it shows here, and not in the next run
    here = Path.cwd()
    source = source.resolve()
    name = source.relative_to(here) if source.is_relative_to(here) else source
    params.set_source(name.as_posix())
    print(f"params.yaml: ingest.source is {name} now; `dvc repro` learns from it")
