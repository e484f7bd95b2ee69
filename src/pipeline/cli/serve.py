"""A server that others can reach."""

import argparse
import os
import sys
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    serve = commands.add_parser(
        "serve",
        help="answer photos over HTTP: MLflow's server, with uploads, limits, counts and a log",
        epilog="If the environment variable ANIMAL_TOKEN is set, requests must carry it as "
        "`Authorization: Bearer TOKEN`.",
    )
    serve.add_argument(
        "--model", default="Production", help="stage or number of a registered version, or a URI"
    )
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all that can reach it")
    serve.add_argument("--port", type=int, default=5001)
    serve.add_argument("--megabytes", type=float, default=64, help="most that a request may have")
    serve.add_argument("--log", type=Path, help="file to add a line a photo to, for `animal drift`")
    serve.add_argument("--keep-photos", type=Path, metavar="DIR", help="keep answered photos there")
    serve.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> None:
    _require_targets(arguments.log, arguments.keep_photos)
    model = arguments.model
    uri = model if ":/" in model or Path(model).is_dir() else f"models:/animal/{model}"
    # A process of its own, in which the model's copies of our modules are the only ones.
    program = str(Path(__file__).parents[1] / "serve" / "server.py")
    command = [sys.executable, "-P", program, uri]
    for name in ("host", "port", "megabytes", "log", "keep_photos"):
        value = getattr(arguments, name)
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.execv(sys.executable, command)


def _require_targets(log: Path | None, photos: Path | None) -> None:
    """Checks that the log goes on a log, or is new, and that photos go into a folder.

    Raises:
        UserError: Something else stands there.
    """
    from pipeline.core import atomic, workspace

    for target in filter(None, (log, photos)):
        workspace.require_target_outside(target)
    if log and not _is_log(log):
        atomic.require_new(log)
    if photos and not photos.is_dir():
        atomic.require_new(photos)


def _is_log(path: Path) -> bool:
    """Whether a file is what an earlier server logged, or empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9) in (b"", b'{"time": ')
