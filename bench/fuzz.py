"""Malformed requests to a real server, each followed by a good one.

The server must answer none with a status of 500 or above, hang at none, and give the good request
the same answer every time. Asked is `mlflow models serve`, and then `animal serve`, with the
champion; or one server that runs already:

    dvc repro
    python bench/fuzz.py photo.jpg
    python bench/fuzz.py photo.jpg --address http://127.0.0.1:5001/invocations --requests 200
"""

import argparse
import copy
import http.client
import json
import random
import socket
import struct
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from servers import about, served

TIMEOUT = 60  # seconds; longer is a hang
JSON = {"Content-Type": "application/json"}
ODD = [
    None,
    True,
    -1,
    1e308,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "\x00",
    "\ud800",
    "é" * 1000,
    [],
    {},
    [[]],
    {"image": []},
    [None] * 100,
    "A" * 100_001,
]


class Fuzz:
    """Makes malformed requests about a photo, the same ones for the same seed."""

    def __init__(self, photo: bytes, seed: int):
        self.photo, self.random = photo, random.Random(seed)
        self.good = about(photo)

    def bytes_of_a_body(self, body: bytes | None = None) -> bytes:
        """The good body with bytes changed, taken out, put in or cut off."""
        changed = bytearray(body or json.dumps(self.good).encode())
        for _ in range(self.random.randint(1, 5)):
            at, length = self.random.randrange(len(changed)), self.random.randint(1, 40)
            noise = self.random.randbytes(length)
            changed[at : at + self.random.choice((0, length))] = noise
        return bytes(changed[: self.random.choice((None, len(changed) // 2))])

    def odd_value(self) -> bytes:
        """The good body with one value, somewhere, of another kind."""
        body = copy.deepcopy(self.good) | {
            "params": {"top_k": 3, "threshold": 0.5, "explain": False, "on_error": "fail"}
        }
        places: list = []

        def visit(node) -> None:
            keys = node if isinstance(node, dict) else range(len(node))
            for key in keys:
                places.append((node, key))
                if isinstance(node[key], dict | list):
                    visit(node[key])

        visit(body)
        node, key = self.random.choice(places)
        odd = self.random.choice(ODD)
        if isinstance(node, dict) and self.random.random() < 0.2:
            node[str(odd)[:50]] = node.pop(key)
        else:
            node[key] = odd
        return long_number(body)

    def nested(self) -> bytes:
        depth = self.random.choice((10, 500, 5000, 100_000))
        inner = self.random.choice((b"[", b'{"dataframe_split":', b'{"inputs":{"image":['))
        return inner * depth

    def long_number(self) -> bytes:
        number = "9" * self.random.choice((20, 400, 5000, 100_000))
        return b'{"dataframe_split": {"columns": ["image"], "data": [[%s]]}}' % number.encode()

    def no_photo(self) -> bytes:
        """A good body about something that is no photo, or hardly one."""
        kinds: list[Callable[[], bytes]] = [
            lambda: self.photo[: self.random.randrange(len(self.photo))],
            lambda: self.bytes_of_a_body(self.photo),
            lambda: self.random.randbytes(self.random.randrange(2000)),
            lambda: self.random.choice((b"", b"%PDF-1.7", b"<svg/>", b"GIF89a", b"BM", b"RIFF")),
            lambda: self.photo[:3] + self.random.randbytes(500),
            lambda: png(*self.random.choice(((0, 0), (1, 2**31 - 1), (60_000, 60_000), (1, 1)))),
            lambda: b"II*\x00" + struct.pack("<I", 8) + self.random.randbytes(60),
        ]
        return json.dumps(about(self.random.choice(kinds)())).encode()

    def huge(self) -> bytes:
        """100 MB."""
        return b'{"dataframe_split": {"columns": ["image"], "data": [["%s"]]}}' % (b"A" * 10**8)

    def head(self) -> tuple[str, str, dict[str, str], bytes]:
        """Another method, path or kind of body."""
        body = json.dumps(self.good).encode()
        kind = self.random.choice(
            (
                "text/csv",
                "application/vnd.apache.parquet",
                "application/json; charset=latin-1",
                "application/json; x=y",
                "application/json;",
                "image/jpeg",
                "multipart/form-data",
                ";",
                "é",
                "",
                None,
            )
        )
        headers = {} if kind is None else {"Content-Type": kind}
        method = self.random.choice(("POST", "POST", "POST", "GET", "PUT", "DELETE", "NONSENSE"))
        path = self.random.choice(("/invocations", "/invocations", "/", "/%ff", "/invocations?%00"))
        return method, path, headers, self.random.choice((body, b"", b"image\nhello", b"PAR1"))

    def wire(self) -> tuple[bytes, float, bool]:
        """Bytes that are not, or not all of, an HTTP request; a pause; whether to close half."""
        body = json.dumps(self.good).encode()
        head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        sent = self.random.choice(
            (
                whole[: self.random.randrange(len(whole))],
                self.random.randbytes(300),
                head + b"Content-Length: -1\r\n\r\n",
                head + b"Content-Length: 99999999999999999999\r\n\r\n{}",
                head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                head + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n{}",
                head + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
                b"\r\n" * 1000,
            )
        )
        return sent, self.random.choice((0, 0, 0, 0.3)), self.random.random() < 0.5


def long_number(body: dict) -> bytes:
    """JSON, with integers of any length, which `json` refuses to write by default."""
    sys.set_int_max_str_digits(0)
    return json.dumps(body).encode()


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds a byte of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def send(address, method: str, path: str, headers: dict, body: bytes) -> tuple[int, bytes]:
    """Status and answer; 0 if the server closed the connection without one."""
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=TIMEOUT)
    try:
        connection.putrequest(method, path)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        with suppress(BrokenPipeError, ConnectionResetError):  # its answer may be there already
            connection.send(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (ConnectionError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def send_wire(address, sent: bytes, pause: float, half: bool) -> int:
    with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT) as connection:
        try:
            connection.sendall(sent)
            time.sleep(pause)
            if half:
                connection.shutdown(socket.SHUT_WR)
                said = connection.recv(100)
                return int(said.split()[1]) if said.startswith(b"HTTP/") else 0
        except ConnectionError:
            pass
        return 0


def send_made(address: SplitResult, name: str, made: Any) -> int:
    """Sends what `Fuzz` made by one of its names; returns the status, 599 if none came."""
    try:
        if name == "wire":
            return send_wire(address, *made)
        if name == "head":
            return send(address, *made)[0]
        return send(address, "POST", "/invocations", JSON, made)[0]
    except TimeoutError:
        return 599


def attack(url: str, photo: bytes, requests: int, seed: int, huge: int) -> bool:
    """Asks, prints what came back, and says whether all went well."""
    address, fuzz = urlsplit(url), Fuzz(photo, seed)
    good = json.dumps(fuzz.good).encode()

    def ask() -> tuple[int, bytes]:
        return send(address, "POST", "/invocations", JSON, good)

    right = ask()
    if right[0] != 200:
        sys.exit(f"the good request is answered with {right}")
    names = ["bytes_of_a_body", "odd_value", "nested", "long_number", "no_photo", "head", "wire"]
    plan = [names[i % len(names)] for i in range(requests - huge)] + ["huge"] * huge
    statuses, failures, slowest = defaultdict(Counter), [], 0.0
    for name in plan:
        made = getattr(fuzz, name)()
        started = time.perf_counter()
        status = send_made(address, name, made)
        slowest = max(slowest, time.perf_counter() - started)
        statuses[name][status] += 1
        if status >= 500:
            failures.append(f"{name} -> {status}: {str(made)[:150]}")
        if (answer := ask()) != right:
            failures.append(f"after {name} the good request got {answer}: {str(made)[:150]}")
    for name, found in statuses.items():
        print(f"  {name:16}", ", ".join(f"{status}: {n}" for status, n in sorted(found.items())))
    print(f"  {len(failures)} of {requests} went wrong; the slowest took {slowest:.1f} s")
    for failure in failures[:20]:
        print("  ", failure)
    return not failures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--address", help="of a server that runs; by default both are started")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--huge", type=int, default=3, help="of 100 MB each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asked = arguments.photo.read_bytes(), arguments.requests, arguments.seed, arguments.huge
    if arguments.address:
        sys.exit(not attack(arguments.address, *asked))
    well = True
    for name, *local in (("mlflow models serve", "--env-manager", "local"), ("animal serve",)):
        print(name)
        with served("models:/animal/Production", *local, command=name) as (url, *_):
            well &= attack(url, *asked)
    sys.exit(not well)


if __name__ == "__main__":
    main()
