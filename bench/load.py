"""Many clients at once: throughput, latency, and whether anyone gets another answer.

32 clients ask `mlflow models serve --env-manager local` about one 500 px photo after another, for a
minute. First one client asks about each, which gives the right answers. What the cores could do at
best is measured beside it: decode, resize and LiteRT forward pass, as many at a time as there are
cores, with no server at all. The clients share the cores with the server.

    dvc repro
    python bench/load.py /path/to/photos
"""

import argparse
import asyncio
import io
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image
from servers import about, memory, served, worked

from pipeline.inference import decoding
from pipeline.inference.litert import Network

FINAL = Path("models/final")
SIDE = 500  # px


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos to ask about")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    paths = sorted(arguments.source.rglob("*.jpg"))
    files = [shrunk(path) for path in paths[:: max(1, len(paths) // 64)][:64]]

    span, least = min(20, arguments.seconds), time.process_time()
    best = bare(files, span)
    least = (time.process_time() - least) / (best * span)
    with served("models:/animal/Production", "--env-manager", "local") as (address, pid, _):
        requests = [request(address, json.dumps(about(file)).encode()) for file in files]
        right = asyncio.run(clients(address, requests, 1, count=len(requests)))
        answers = {number: answer for number, answer, _ in right}
        before = memory(pid)
        started, theirs, ours = time.perf_counter(), worked(pid), time.process_time()
        got = asyncio.run(clients(address, requests, arguments.clients, arguments.seconds))
        took = time.perf_counter() - started
        theirs, ours = worked(pid) - theirs, time.process_time() - ours
        after = memory(pid)
    waits = sorted(ms for *_, ms in got)
    median, p99 = statistics.median(waits), waits[int(0.99 * len(waits))]
    other = sum(answer != answers[number] for number, answer, _ in got)
    rate = len(got) / took
    print(f"{arguments.clients} clients, {took:.0f} s, {os.cpu_count()} cores, {SIDE} px photos")
    print(f"{len(got)} answers, {other} of them another than one client gets")
    print(f"{rate:.0f} a second: {rate / best:.2f} of the bare rate, {best:.0f} a second")
    print(f"ms of CPU a request: {theirs / len(got) * 1e3:.1f} in the server, ", end="")
    print(f"{ours / len(got) * 1e3:.1f} in the clients, {least * 1e3:.1f} bare")
    print(f"median {median:.0f} ms, p99 {p99:.0f} ms ({p99 / median:.2f} medians), ", end="")
    print(f"longest {waits[-1]:.0f} ms; one client {statistics.median(r[2] for r in right):.1f} ms")
    print(f"resident: {before:.0f} MB before, {after:.0f} MB after")
    sys.exit(other > 0)


def shrunk(path: Path) -> bytes:
    """A photo as a JPEG whose longer side has 500 px."""
    image = Image.open(path).convert("RGB")
    scale = SIDE / max(image.size)
    file = io.BytesIO()
    image.resize([round(side * scale) for side in image.size]).save(file, "JPEG", quality=90)
    return file.getvalue()


def bare(files: list[bytes], seconds: float) -> float:
    """Photos a second with nothing but decoding, resizing and the network, on all cores."""
    network = Network((FINAL / "model.tflite").read_bytes())
    end = time.perf_counter() + seconds

    def work(start: int) -> int:
        done = 0
        while time.perf_counter() < end:
            network.one(decoding.square(files[(start + done) % len(files)], network.size))
            done += 1
        return done

    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        return sum(threads.map(work, range(0, len(files), len(files) // cores))) / seconds


def request(address: str, body: bytes) -> bytes:
    """A whole HTTP request, made once: the clients are to leave the cores to the server."""
    url = urlsplit(address)
    head = (
        f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def clients(
    address: str, requests: list[bytes], many: int, seconds: float = 600, count: int = 10**9
) -> list[tuple[int, bytes, float]]:
    """Returns which request, the answer and the milliseconds of each answer that clients got.

    Each client sends the next request as soon as it is answered.

    Raises:
        RuntimeError: An answer has another status than 200.
    """
    url = urlsplit(address)
    numbers = iter(range(count))
    end = time.perf_counter() + seconds
    got = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        for number in numbers:
            started = time.perf_counter()
            if started > end:
                break
            number %= len(requests)
            writer.write(requests[number])
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head.decode())
            length = int(head.lower().split(b"content-length:")[1].split()[0])
            answer = await reader.readexactly(length)
            got.append((number, answer, (time.perf_counter() - started) * 1e3))
        writer.close()

    await asyncio.gather(*(client() for _ in range(many)))
    return got


if __name__ == "__main__":
    main()
