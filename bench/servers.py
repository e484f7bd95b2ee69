"""`mlflow models serve` as a context manager, for the scripts beside this one."""

import base64
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(
    model: str, *arguments: str, command: str = "mlflow models serve", wait: float = 600
) -> Iterator[tuple[str, int, float]]:
    """Serves a model on a free port: address to ask, process id, seconds until it was ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    named = "-m" if command.startswith("mlflow") else "--model"
    line = [*command.split(), named, model, *arguments, "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started = time.monotonic()
    server = subprocess.Popen(line, **quiet, start_new_session=True)
    try:
        while not _answers(port):
            if server.poll() is not None or time.monotonic() - started > wait:
                raise RuntimeError(f"{' '.join(line)} does not answer")
            time.sleep(0.1)
        ready = time.monotonic() - started
        yield f"http://127.0.0.1:{port}/invocations", server.pid, ready
    finally:
        os.killpg(server.pid, 15)
        server.wait()


def family(pid: int) -> list[int]:
    """A process and all that it started, by their ids."""
    pids = [pid]
    for known in pids:
        pids += map(int, Path(f"/proc/{known}/task/{known}/children").read_text().split())
    return pids


def memory(pid: int) -> float:
    """Resident memory (MB) of the largest process of a server: its worker."""
    statuses = [Path(f"/proc/{known}/status").read_text() for known in family(pid)]
    return max(int(text.split("VmRSS:")[1].split()[0]) for text in statuses) / 1024


def worked(pid: int) -> float:
    """CPU seconds that a server has taken."""
    stats = [Path(f"/proc/{known}/stat").read_text().rsplit(")", 1)[1] for known in family(pid)]
    ticks = sum(int(count) for stat in stats for count in stat.split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


def about(*files: bytes) -> dict:
    """The body that asks about photo files."""
    rows = [[base64.b64encode(file).decode()] for file in files]
    return {"dataframe_split": {"columns": ["image"], "data": rows}}


def ask(address: str, body: dict) -> tuple[list[dict], float, int]:
    """Posts a body: predictions, milliseconds, bytes of the body."""
    encoded = json.dumps(body).encode()
    request = urllib.request.Request(address, encoded, {"Content-Type": "application/json"})
    started = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = response.read()
    took = (time.perf_counter() - started) * 1e3
    return json.loads(answer)["predictions"], took, len(encoded)


def _answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5)
    except OSError:
        return False
    return True
