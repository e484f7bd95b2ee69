"""`animal predict` on 10,000 photos against the bare work: decode, resize and LiteRT on all cores.

The bare peer shares the photos out among processes, one a core, and does nothing else: no hash, no
check, no EXIF, no file. The command is timed as it is typed, from its start to its end, the look
into the registry included. Both in turn, in the same run. Then the command is killed with SIGKILL
half way, typed again, and its file compared with the undisturbed one's; and the memory of all its
processes, without what they share, is compared with that of a quarter of the photos.

    dvc repro
    python bench/predict.py /path/to/photos
"""

import argparse
import importlib.metadata
import io
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from pipeline.register import versions as registry

COMMAND = [sys.executable, "-c", "from pipeline.cli import main; main()", "predict"]


def bare(model: bytes, paths: list[Path]) -> None:
    """The least that fast Pillow and LiteRT can do."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    entry, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    size = int(entry["shape"][1])
    for path in paths:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.draft(None, (size, size))
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=2.0)
        picture = np.asarray(image.convert("RGB"), dtype=np.float32)
        interpreter.set_tensor(entry["index"], picture[None])
        interpreter.invoke()
        interpreter.get_tensor(answer["index"])


def bare_seconds(work: Callable[[Any, list], None], model: Any, items: list) -> float:
    """Seconds of some work with a model, its items shared out among a process a core."""
    cores = os.cpu_count() or 1
    workers = [
        get_context("spawn").Process(target=work, args=(model, items[i::cores]))
        for i in range(cores)
    ]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not any(worker.exitcode for worker in workers)
    return time.perf_counter() - started


def ours_seconds(folder: Path, output: Path) -> tuple[float, float]:
    """Seconds, and the most memory that all its processes had for themselves at once (MB)."""
    started, most = time.perf_counter(), 0.0
    command = subprocess.Popen([*COMMAND, str(folder), "--output", output], **QUIET)
    while command.poll() is None:
        time.sleep(0.5)
        try:
            family = [process := psutil.Process(command.pid), *process.children(recursive=True)]
            most = max(most, sum(p.memory_full_info().uss for p in family) / 1e6)
        except psutil.Error:
            continue  # one of them has just ended
    assert command.returncode == 0
    return time.perf_counter() - started, most


def killed(folder: Path, output: Path) -> int:
    """Kills the command half way; gives how many photos its journal holds."""
    journal = output.with_name(f"{output.name}.journal")
    half = len(list(folder.iterdir())) // 2
    command = subprocess.Popen([*COMMAND, folder, "--output", output], **QUIET)
    while not journal.exists() or journal.read_bytes().count(b"\n") < half:
        assert command.poll() is None
        time.sleep(0.2)
    family = [*psutil.Process(command.pid).children(recursive=True), command]
    for process in family:
        process.kill()
    command.wait()
    return journal.read_bytes().count(b"\n") - 1


def link(source: Path, folder: Path, count: int) -> None:
    """`count` photos: the files of `source`, again and again, under names of their own."""
    folder.mkdir()
    paths = sorted(source.resolve().rglob("*.jpg"))
    for i, path in enumerate(islice(cycle(paths), count)):
        (folder / f"{i:06d}.jpg").symlink_to(path)


QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos to ask about, .jpg")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=1)
    arguments = parser.parse_args()
    model = (registry.locate("Production").recogniser / "model.tflite").read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        folder, quarter = Path(temporary, "all"), Path(temporary, "quarter")
        link(arguments.source, folder, arguments.photos)
        link(arguments.source, quarter, arguments.photos // 4)
        output, again = Path(temporary, "all.csv"), Path(temporary, "again.csv")
        _, small = ours_seconds(quarter, Path(temporary, "quarter.csv"))
        bares, timed = [], []
        for _ in range(arguments.repetitions):
            bares.append(bare_seconds(bare, model, sorted(folder.iterdir())))
            timed.append(ours_seconds(folder, output))
        done = killed(folder, again)
        rest, _ = ours_seconds(folder, again)
        same = again.read_bytes() == output.read_bytes()
    theirs, ours = statistics.median(bares), statistics.median(seconds for seconds, _ in timed)
    rates = {"bare": theirs, "animal predict": ours}
    table = pd.DataFrame({"seconds": rates})
    table["photos/s"] = arguments.photos / table["seconds"]
    table["of bare"] = theirs / table["seconds"]
    versions = (f"{n} {importlib.metadata.version(n)}" for n in ("pillow", "ai-edge-litert"))
    print(f"{arguments.photos} photos, {os.cpu_count()} cores, {platform.machine()}, Python")
    print(f"{platform.python_version()}, {', '.join(versions)}; medians of {arguments.repetitions}")
    print(f"\n{table.round(2).to_string()}\n")
    print(
        f"memory: {small:.0f} MB for {arguments.photos // 4} photos, {timed[0][1]:.0f} MB for all"
    )
    outcome = "the same file" if same else "ANOTHER FILE"
    print(f"killed after {done} photos, then {rest:.1f} s more: {outcome}")


if __name__ == "__main__":
    main()
