"""The web page: `animal app`."""

import argparse
import contextlib
import ipaddress
import os
import secrets
import sys
import threading
import time
from pathlib import Path

from pipeline.cli.parser import Commands
from pipeline.core import errors


def add(commands: Commands) -> None:
    app = commands.add_parser(
        "app",
        help="open a web page that names animals in photos",
        example="app --port 8080",
        epilog="With --token, and whenever --host lets others reach the page, it asks for a token: "
        "that of the environment variable ANIMAL_TOKEN or else a new one, which is printed.",
    )
    app.add_model()
    app.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all that can reach it")
    app.add_argument("--port", type=int, default=8080)
    app.add_argument("--token", action="store_true", help="ask for a token")
    app.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which the page is reached, such as a proxy's; may be repeated",
    )
    app.add_argument(
        "--root-path", default="", metavar="/PATH", help="below which a proxy shows the page"
    )
    app.add_argument(
        "--feedback",
        type=Path,
        metavar="DIR",
        help="keep there, with its photo, what people correct on the page; `dvc repro` learns from "
        "the one that ingest.feedback names (default: nothing is kept)",
    )
    app.add_argument(
        "--folders",
        type=Path,
        default=Path.home(),
        metavar="DIR",
        help="below which a collection to train on can be chosen (default: your home folder)",
    )
    app.add_argument(
        "--field",
        action="store_true",
        help="let browsers keep the page and the recogniser, to work without a network; fetches "
        "LiteRT.js from npm once",
    )
    app.add_argument(
        "--open", action="store_true", help="open it in the browser, on a machine with a screen"
    )


def run(arguments: argparse.Namespace) -> None:
    root_path = arguments.root_path.rstrip("/")
    if root_path and not root_path.startswith("/"):
        raise errors.UserError(f"--root-path {root_path} must begin with a slash")
    if not arguments.folders.is_dir():
        raise errors.UserError(f"--folders {arguments.folders} is not a folder")
    import uvicorn

    from pipeline.app import server, web_runtime
    from pipeline.app.access import Access
    from pipeline.app.champion import Champion
    from pipeline.core import workspace

    if arguments.feedback:
        workspace.require_folder(arguments.feedback)
    token = _token(arguments)
    access = Access(token, tuple(arguments.allow_host), root_path)
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    address = f"http://{host}:{arguments.port}{root_path}/"
    print(f"{address}  (Ctrl+C ends it)", flush=True)
    if token and not os.environ.get("ANIMAL_TOKEN"):
        print(f"token: {token}", flush=True)
    runtime = web_runtime.require() if arguments.field else None
    champion = Champion(arguments.model)
    if arguments.open and has_screen():
        threading.Thread(target=open_when_served, args=(address,), daemon=True).start()
    uvicorn.run(
        server.build(champion, access, arguments.feedback, arguments.folders, runtime),
        host=arguments.host,
        port=arguments.port,
        access_log=False,
        log_level="warning",
    )


def has_screen() -> bool:
    """Returns whether a window can be shown; else Python would open a browser in the terminal."""
    shown = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in shown)


def open_when_served(address: str) -> None:
    """Opens a page in the browser once the app answers; gives up after a minute."""
    import urllib.request
    import webbrowser

    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}health", timeout=5).close()
            webbrowser.open(address)
            return
        time.sleep(0.2)


def _token(arguments: argparse.Namespace) -> str | None:
    """Returns what must be known to use the page; None: nothing."""
    if arguments.host == "localhost":
        loopback = True
    else:
        try:
            loopback = ipaddress.ip_address(arguments.host).is_loopback
        except ValueError:
            raise errors.UserError(f"--host {arguments.host} is not an IP address") from None
    if loopback and not arguments.token:
        return None
    return os.environ.get("ANIMAL_TOKEN") or secrets.token_urlsafe(24)
