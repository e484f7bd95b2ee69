"""A server that others can reach."""

import argparse
import os
from pathlib import Path

from pipeline.cli.parser import Commands


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


def run(arguments: argparse.Namespace) -> None:
    from pipeline.core import atomic, workspace

    log, photos = arguments.log, arguments.keep_photos
    if photos:
        workspace.require_folder(photos)
    if log:
        workspace.require_target_outside(log)
        if not _is_log(log):
            atomic.require_new(log)
        atomic.require_writable(log.parent)
    import uvicorn

    from pipeline.inference.recogniser import Recogniser
    from pipeline.register import versions
    from pipeline.serve import server
    from pipeline.serve.request_guard import Limits
    from pipeline.serve.request_log import RequestLog

    located = versions.locate(arguments.model)
    app = server.build(
        Recogniser(located.recogniser),
        located.version,
        Limits(os.environ.get("ANIMAL_TOKEN") or None, arguments.megabytes),
        RequestLog(log, photos),
    )
    for folder in filter(None, (log and log.parent, photos)):
        folder.mkdir(parents=True, exist_ok=True)
    uvicorn.run(app, host=arguments.host, port=arguments.port, access_log=False)


def _is_log(path: Path) -> bool:
    """Tells whether a file is what an earlier server logged, or empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9) in (b"", b'{"time": ')
