"""`animal app --open` opens its page in the browser, where there is one to be seen."""

import socket
import threading
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.cli import app


class Health(BaseHTTPRequestHandler):
    """Answers /animals/health alone."""

    def do_GET(self):
        self.send_response(200 if self.path == "/animals/health" else 404)
        self.end_headers()


def test_the_page_is_opened_once_it_is_served(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/animals/"
    thread = threading.Thread(target=app.open_when_served, args=(address,))
    thread.start()
    time.sleep(0.5)
    assert opened == [], "opened before anything is served"
    with HTTPServer(("127.0.0.1", port), Health) as server:
        server.timeout = 30
        server.handle_request()
        thread.join(30)
    assert opened == [address]


@pytest.mark.parametrize(
    ("platform", "display", "shown"),
    [("linux", None, False), ("linux", ":0", True), ("darwin", None, True)],
)
def test_without_a_screen_no_browser_is_opened(monkeypatch, platform, display, shown):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if display:
        monkeypatch.setenv("WAYLAND_DISPLAY", display)
    monkeypatch.setattr("sys.platform", platform)
    assert app.has_screen() == shown
