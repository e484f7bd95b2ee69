"""Many photos at once."""

import argparse
from pathlib import Path

from pipeline.cli import model_option
from pipeline.core import errors

_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet", ".json": "json"}


def add(commands: argparse._SubParsersAction) -> None:
    predict = commands.add_parser("predict", help="say what many photos show")
    predict.add_argument(
        "paths", nargs="+", metavar="PATH", help="photo, folder, zip, tar or 'pattern/**/*.jpg'"
    )
    predict.add_argument(
        "--output",
        default="predictions.csv",
        help="new file to write; nothing is replaced (default: predictions.csv)",
    )
    predict.add_argument(
        "--format",
        choices=[*_BY_SUFFIX.values(), "megadetector", "camtrap-dp"],
        help="what to write; by default what the name of --output ends with",
    )
    model_option.add(predict)
    predict.add_argument(
        "--xmp", action="store_true", help="also write the species into photo.jpg.xmp"
    )
    predict.add_argument("--jobs", type=int, default=-1, help="processes; by default one a core")
    predict.add_argument("--dask", metavar="ADDRESS", help="work on this cluster, tcp://host:8786")
    predict.set_defaults(run=_predict)


def _predict(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output)
    form = arguments.format or _BY_SUFFIX.get(output.suffix.lower())
    if form is None:
        raise errors.UserError(
            f"--output {arguments.output} ends with none of {', '.join(_BY_SUFFIX)}; "
            "say with --format what to write"
        )
    from pipeline.core import atomic, parallel, workspace
    from pipeline.predict import batch, formats
    from pipeline.predict.formats import xmp
    from pipeline.register import versions

    workspace.require_target_outside(output)
    atomic.require_new(arguments.output)
    recogniser = versions.recogniser(arguments.model)
    journal = output.with_name(f"{output.name}.journal")
    with parallel.on("dask" if arguments.dask else "local", arguments.dask):
        asked = batch.predict(recogniser, arguments.paths, journal, arguments.jobs)
    with atomic.new_file(arguments.output) as partial:
        formats.FORMATS[form](batch.answers(journal), batch.labels(recogniser), partial)
    print(f"{output}: {asked.photos} photos, {asked.failed} of them could not be read")
    if arguments.xmp:
        written, foreign = xmp.write(batch.answers(journal))
        print(f"{written} sidecars written, {foreign} of others left as they are")
    journal.unlink()
