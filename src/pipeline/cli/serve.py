"""A server that others can reach."""

import argparse
import os
from pathlib import Path

from pipeline.cli.parser import Commands
from pipeline.core import errors


def add(commands: Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="answer photos over HTTP, with uploads, limits, counts and a log",
        example="serve --port 5001 --log requests.jsonl",
        epilog="If the environment variable ANIMAL_TOKEN is set, requests must carry it as "
        "`Authorization: Bearer TOKEN`.",
    )
    serve.add_model()
    serve.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all that can reach it")
    serve.add_argument("--port", type=int, default=5001)
    serve.add_argument("--megabytes", type=float, default=64, help="most that a request may have")
    serve.add_argument("--log", type=Path, help="file to add a line a photo to, for `animal drift`")
    serve.add_argument("--keep-photos", type=Path, metavar="DIR", help="keep answered photos there")
    serve.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> None:
    folders = _require_targets(arguments.log, arguments.keep_photos)
    import uvicorn

    from pipeline.inference.recogniser import Recogniser
    from pipeline.register import versions
    from pipeline.serve import server
    from pipeline.serve.request_guard import Limits
    from pipeline.serve.request_log import RequestLog

    located = versions.locate(arguments.model)
    for name in ("model.tflite", "labels.json"):
        if not (located.recogniser / name).is_file():
            raise errors.UserError(f"{located.recogniser} is no recogniser: it holds no {name}")
    app = server.build(
        Recogniser(located.recogniser),
        located.version,
        Limits(os.environ.get("ANIMAL_TOKEN") or None, arguments.megabytes),
        RequestLog(arguments.log, arguments.keep_photos),
    )
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    uvicorn.run(app, host=arguments.host, port=arguments.port, access_log=False)


def _require_targets(log: Path | None, photos: Path | None) -> list[Path]:
    """Checks that the log goes on a log, or is new, and that photos go into a folder.

    Returns:
        The folders that are to be there.

    Raises:
        UserError: Something else stands there, or may not be written.
    """
    from pipeline.core import atomic, workspace

    for target in filter(None, (log, photos)):
        workspace.require_target_outside(target)
    if log and not _is_log(log):
        atomic.require_new(log)
    if photos and not photos.is_dir():
        atomic.require_new(photos)
    folders = [*([log.parent] if log else []), *([photos] if photos else [])]
    for folder in folders:
        atomic.require_writable(folder)
    return folders


def _is_log(path: Path) -> bool:
    """Tells whether a file is what an earlier server logged, or empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9) in (b"", b'{"time": ')
