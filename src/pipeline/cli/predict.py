"""Many photos at once."""

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from pipeline.cli.parser import Commands
from pipeline.core import errors

_BY_SUFFIX = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".zip": "camtrap-dp-package",
}


def add(commands: Commands) -> None:
    predict = commands.add_parser(
        "predict",
        help="say what many photos show",
        example="predict trip/ --output trip.csv --events events.csv",
    )
    predict.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="photo, video, folder, zip, tar or 'pattern/**/*.jpg'",
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
    predict.add_model()
    predict.add_argument(
        "--relative-to",
        metavar="DIR",
        help="write paths as seen from this folder; by default as they were typed, and for "
        "megadetector as seen from the folder that holds every PATH, for camtrap-dp-package from "
        "that of --output",
    )
    predict.add_argument(
        "--events",
        metavar="FILE",
        help="also write a CSV with a row an event: photos of one folder that follow each other",
    )
    gap = "the longest pause inside an event (default: 60)"
    predict.add_argument("--event-gap", type=float, default=60, metavar="SECONDS", help=gap)
    predict.add_argument(
        "--list",
        metavar="FILE",
        help="CSV of the species that can be there: species and, if wanted, location (a folder of "
        "the photos), from and to (MM-DD); what is not on it becomes the likeliest that is",
    )
    predict.add_argument(
        "--deployments",
        metavar="FILE",
        help="for camtrap-dp-package: CSV with deploymentID (a folder of the photos), latitude, "
        "longitude, deploymentStart, deploymentEnd and, if wanted, further columns of the standard",
    )
    predict.add_argument("--xmp", action="store_true", help="also write the species into sidecars")
    predict.add_argument(
        "--xmp-name",
        choices=["photo.jpg.xmp", "photo.xmp"],
        default="photo.jpg.xmp",
        help="how the sidecar of photo.jpg is called; Lightroom wants photo.xmp",
    )
    predict.add_argument("--jobs", type=int, default=-1, help="processes; by default one a core")
    predict.add_argument("--dask", metavar="ADDRESS", help="work on this cluster, tcp://host:8786")


def run(arguments: argparse.Namespace) -> None:
    output = Path(arguments.output)
    form = arguments.format or _BY_SUFFIX.get(output.suffix.lower())
    if form is None:
        raise errors.UserError(
            f"--output {arguments.output} ends with none of {', '.join(_BY_SUFFIX)}; "
            "say with --format what to write"
        )
    if arguments.jobs == 0 or arguments.jobs < -1:
        raise errors.UserError(
            f"--jobs is {arguments.jobs}; use -1 for every core, or a number of processes"
        )
    from pipeline.core import atomic, parallel, workspace
    from pipeline.inference.pooling import Pooling
    from pipeline.predict import batch, formats, species_list
    from pipeline.predict.events import Events
    from pipeline.predict.formats import tables
    from pipeline.register import versions

    if arguments.events and Path(arguments.events).absolute() == output.absolute():
        raise errors.UserError(f"--events and --output are both {output}; name two files")
    for path in filter(None, (arguments.output, arguments.events)):
        workspace.require_target_outside(Path(path))
        atomic.require_new(path)
        atomic.require_writable(Path(path).absolute().parent)
    deployments = Path(arguments.deployments) if arguments.deployments else None
    wanted = formats.named(form, deployments)
    folder = _seen_from(form, wanted.check, arguments)
    recogniser = versions.locate(arguments.model).recogniser
    labels = batch.labels(recogniser)
    listed = species_list.read(Path(arguments.list), labels) if arguments.list else None
    journal = output.with_name(f"{output.name}.journal")
    with parallel.use_backend("dask" if arguments.dask else "local", arguments.dask):
        photos, failed, passed_over = batch.predict(
            recogniser, arguments.paths, journal, arguments.jobs
        )
    pooling, gap = Pooling.load(recogniser), arguments.event_gap
    events = Events(labels, pooling, gap, wanted.locate, batch.TOP)
    with atomic.new_file(arguments.output) as written:
        answers = events.beside(_answers(journal, listed, folder))
        wanted.write(answers, labels, written)
    if arguments.events:
        with atomic.new_file(arguments.events) as written:
            tables.events(events.rows(_answers(journal, listed, folder)), written)
    print(f"{output}: {photos} photos, {failed} of them could not be read")
    _print_passed_over(passed_over)
    if arguments.xmp:
        _write_sidecars(_answers(journal, listed, None), arguments.xmp_name)
    journal.unlink()


def _answers(journal: Path, listed: list | None, folder: Path | None) -> Iterator[dict]:
    """Yields the answers in a journal, among the species of a list, as seen from a folder."""
    from pipeline.predict import batch, inputs, species_list

    answers = batch.answers(journal)
    if listed is not None:
        answers = species_list.apply(listed, answers)
    if folder is None:
        return answers
    return (answer | {"path": inputs.relative(answer["path"], folder)} for answer in answers)


def _seen_from(
    form: str, check: Callable[[Iterable[str]], None] | None, arguments: argparse.Namespace
) -> Path | None:
    """Returns the folder that written paths are seen from; None: they stay as they were typed.

    Raises:
        UserError: A photo's path cannot be written so.
    """
    from pipeline.predict import formats, inputs
    from pipeline.predict.formats import xmp

    checks = [] if check is None else [check]
    if arguments.xmp:
        checks.append(xmp.check)
    folder = None
    if arguments.relative_to is not None:
        folder = Path(arguments.relative_to)
        if not folder.is_dir():
            raise errors.UserError(f"--relative-to {folder} is not a folder")
        checks.append(partial(inputs.require_below, folder))
    elif form == "megadetector":
        folder = inputs.top(arguments.paths)
    elif form == formats.PACKAGE:
        folder = Path(arguments.output).absolute().parent
        checks.append(partial(inputs.require_below, folder))
    for check in checks:
        check(photo.path for photo in inputs.find(arguments.paths, clips=True))
    return folder


def _print_passed_over(passed_over: Counter[str]) -> None:
    from pipeline.predict import inputs

    if passed_over:
        advice = f"; a raw file: {inputs.RAW_ADVICE}" * any(
            k.startswith("raw") for k in passed_over
        )
        print(f"passed over: {inputs.listed(passed_over)}{advice}")


def _write_sidecars(answers: Iterator[dict], name: str) -> None:
    from pipeline.predict.formats import xmp

    counts = xmp.write(answers, name)
    print(f"{counts['written']} sidecars written, {counts['foreign']} of others left as they are")
    if counts["shared"]:
        print(f"{counts['shared']} photos have none: another of the same name has it")
    if counts["failed"]:
        print(f"{counts['failed']} could not be written")
