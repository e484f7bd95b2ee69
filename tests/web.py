"""A real HTTP server on this machine that answers as others do: well, slowly, broken or lying."""

import json
import re
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; an answer writes to it what it likes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would hold every short answer back for 40 ms

    def do_GET(self):
        parts = urlsplit(self.path)
        self.asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        self.start = int(span[1]) if span else 0
        web = self.server.web
        with web.lock:
            web.requests.append((parts.path, self.start))
            answers = web.answers[parts.path]
            answer = answers.pop(0) if len(answers) > 1 else answers[0] if answers else status(404)
        try:
            answer(self)
        except OSError:
            self.close_connection = True

    def head(self, code: int = 200, **headers) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_):
        pass


class Web:
    """The server.

    Attributes:
        address: Where it is, such as `http://127.0.0.1:40123`.
        answers: By path: each request takes the next, the last one stays.
        requests: Path and first byte of what was asked for, in order.
    """

    def __init__(self):
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.requests: list[tuple[str, int]] = []
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
        self.server.daemon_threads = True
        self.server.web = self
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Web":
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def put(self, path: str, *answers: Answer) -> str:
        """Answers so on a path from now on; gives its address."""
        with self.lock:
            self.answers[path] = list(answers)
        return self.address + path


def whole(content: bytes, kind: str = "application/octet-stream", pause: float = 0) -> Answer:
    """As a good server: all, or all from the byte that is asked for; perhaps slowly."""

    def answer(request: Request) -> None:
        rest = content[request.start :]
        span = {"Content_Range": f"bytes {request.start}-{len(content) - 1}/{len(content)}"}
        code, span = (206, span) if request.start else (200, {})
        request.head(code, Content_Type=kind, Content_Length=len(rest), **span)
        for place in range(0, len(rest), 1 << 16):
            request.wfile.write(rest[place : place + (1 << 16)])
            time.sleep(pause)

    return answer


def without_ranges(content: bytes) -> Answer:
    """All of it, whatever was asked for."""

    def answer(request: Request) -> None:
        request.head(Content_Length=len(content))
        request.wfile.write(content)

    return answer


def breaking(content: bytes, after: int) -> Answer:
    """Begins as a good server, and resets the connection after so many bytes."""

    def answer(request: Request) -> None:
        rest = content[request.start :]
        span = {"Content_Range": f"bytes {request.start}-{len(content) - 1}/{len(content)}"}
        code, span = (206, span) if request.start else (200, {})
        request.head(code, Content_Length=len(rest), **span)
        request.wfile.write(rest[:after])
        request.wfile.flush()
        time.sleep(0.1)  # a reset throws away what the other side has not read yet
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.close_connection = True

    return answer


def ending(content: bytes, length: int | None = None) -> Answer:
    """Sends this, whatever length it claims, and hangs up."""

    def answer(request: Request) -> None:
        claim = {} if length is None else {"Content_Length": length}
        request.head(Connection="close", **claim)
        request.wfile.write(content)
        request.close_connection = True

    return answer


def endless(chunk: bytes) -> Answer:
    """Never stops."""

    def answer(request: Request) -> None:
        request.head(Connection="close")
        while True:
            request.wfile.write(chunk)

    return answer


def silent(content: bytes, seconds: float) -> Answer:
    """Promises all, sends half, and says no more."""

    def answer(request: Request) -> None:
        request.head(Content_Length=len(content))
        request.wfile.write(content[: len(content) // 2])
        request.wfile.flush()
        time.sleep(seconds)
        request.close_connection = True

    return answer


def status(code: int, **headers) -> Answer:
    """No file."""

    def answer(request: Request) -> None:
        request.head(code, Content_Length=0, **headers)

    return answer


def page(text: str = "<html>Please log in</html>") -> Answer:
    """A page of excuses, as if it were the file."""
    return whole(text.encode(), "text/html")


def as_json(found: Callable[[dict], object]) -> Answer:
    """What a function makes of the query, as JSON."""

    def answer(request: Request) -> None:
        content = json.dumps(found(request.asked)).encode()
        request.head(Content_Type="application/json", Content_Length=len(content))
        request.wfile.write(content)

    return answer
