"""Which photos to label next: `animal suggest`."""

import argparse
from pathlib import Path

from pipeline.cli.parser import Commands
from pipeline.core import errors

_COLUMNS = 8  # of the sheet


def add(commands: Commands) -> None:
    suggest = commands.add_parser(
        "suggest",
        help="say which photos to label next",
        example="suggest trip/ --count 100 --output to_label.csv",
    )
    suggest.add_argument(
        "paths", nargs="+", metavar="PATH", help="photo, folder, zip, tar or 'pattern/**/*.jpg'"
    )
    suggest.add_argument("--count", type=int, default=100, help="how many (default: 100)")
    suggest.add_argument(
        "--output",
        default="suggestions.csv",
        help="new CSV file; a contact sheet of the same name ends with .png "
        "(default: suggestions.csv)",
    )
    suggest.add_model()


def run(arguments: argparse.Namespace) -> None:
    from pipeline.core import atomic, parallel, workspace
    from pipeline.dataset import contact_sheets
    from pipeline.predict import inputs, suggestions
    from pipeline.register import versions

    if arguments.count < 1:
        raise errors.UserError(f"--count is {arguments.count}: give 1 or more")
    output = Path(arguments.output)
    sheet = output.with_suffix(".png")
    if sheet == output:
        raise errors.UserError(f"--output {output} is a table: let its name end with .csv")
    for path in (output, sheet):
        workspace.require_target_outside(path)
        atomic.require_new(path)
    recogniser = versions.locate(arguments.model).recogniser
    table, pictures, left_out = suggestions.suggest(recogniser, arguments.paths, arguments.count)
    if table.empty:
        among = f", among {inputs.listed(left_out)}" if left_out else ""
        raise errors.UserError(f"there is no photo to label in {', '.join(arguments.paths)}{among}")
    captions = [
        f"{row.rank}: {Path(row.path).name} {row.species} {row.probability:.2f} or {row.second}?"
        for row in table.itertuples()
    ]
    tiles = list(zip(pictures, captions, strict=True))
    rows = parallel.chunks(tiles, _COLUMNS)
    with atomic.new_file(output) as partial, atomic.new_file(sheet) as drawn:
        table.to_csv(partial, index=False)
        contact_sheets.sheet(rows).save(drawn, "PNG")
    print(f"{output}, {sheet}: {len(table)} photos to label, the least sure first")
    if left_out:
        print(f"left out: {inputs.listed(left_out)}")
