"""Time and memory of ingest and resize by the number of photos, and of grouping near-duplicates.

Photos are made: distinct JPEGs of 256 x 192 px in ten class folders. Each stage runs as DVC runs
it, in an empty project; its memory is the largest sum over its processes (proportional set size).
The shortcut score grows with the photos until it has 2,000 to learn from, so time a photo is told
beyond those: what a run took more than one of 2,000, by the photos that it had more. Medians of
five runs, but of one with more than 10,000 photos.

    python bench/scale.py                       # 1,000, 10,000 and 100,000 photos, some 8 minutes
"""

import argparse
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from project import PROJECT, change

from pipeline.core import parallel
from pipeline.dataset.near_duplicates import groups

BASE, SIDE = 2_000, 64
STAGES = ("ingest", "resize")
# Memory by the kernel's names (proc_pid_smaps): all, and what lies in no file that could be read
# again. The difference is code, and files that are mapped as long as there is room for them.
ALL, HELD = ("Pss:",), ("Pss_Anon:", "Pss_Shmem:")


def make(folder: Path, number: int) -> None:
    """A photo of soft random colours, unlike all others."""
    noise = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((256, 192)).save(buffer, "JPEG", quality=85)
    (folder / f"species{number % 10}" / f"{number:07d}.jpg").write_bytes(buffer.getvalue())


def make_all(folder: Path, numbers: range) -> None:
    for species in range(10):
        (folder / f"species{species}").mkdir(parents=True, exist_ok=True)
    for _ in parallel.map_ordered(partial(_make_some, folder), parallel.chunks(numbers, 500), -1):
        pass
    os.sync()  # or the stages would wait for the disk to take what was made for them


def _make_some(folder: Path, numbers: range) -> None:
    for number in numbers:
        make(folder, number)


def prepare(project: Path, photos: Path) -> None:
    project.mkdir()
    lines = [f"ingest.source={json.dumps(str(photos))}", "ingest.min_per_species=3"]
    change(project, [*lines, f"resize.size={SIDE}"])


def run(project: Path, stage: str, kinds: tuple[str, ...] = ALL) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a stage."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, PROJECT / "stages" / f"{stage}.py"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seen = [0]

    def watch() -> None:
        while process.poll() is None:
            seen.append(memory(process.pid, kinds))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    seconds = time.perf_counter() - started
    watcher.join()
    if status:
        sys.exit(f"{stage} failed in {project}")
    return seconds, max(seen) / 1e6


def memory(pid: int, kinds: tuple[str, ...]) -> int:
    """Bytes of these kinds that a process and all below it hold, what they share counted once."""
    held = 0
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        held = 1024 * sum(int(line.split()[1]) for line in rollup if line.startswith(kinds))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        held += sum(memory(int(child), kinds) for child in children)
    except (OSError, ValueError):  # it has ended meanwhile
        pass
    return held


def measure(folder: Path, count: int, repetitions: int) -> list[dict]:
    """Runs both stages on new photos, again on the same, and again with one in a hundred more."""
    photos, runs = folder / f"photos{count}", []
    make_all(photos, range(count))
    for repetition in range(repetitions):
        project = folder / f"project{count}-{repetition}"
        prepare(project, photos)
        for what in ("new", "unchanged", "1 % more"):
            if what == "1 % more":
                first = count + repetition * count // 100
                make_all(photos, range(first, first + count // 100))
            for stage in STAGES:
                seconds, peak = run(project, stage)
                of = {"stage": stage, "what": what, "photos": count}
                runs.append(of | {"s": seconds, "MB": peak})
        shutil.rmtree(project)
    return runs


def near_duplicates(count: int) -> float:
    """Seconds to group so many hashes, a tenth of them close to another."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    hashes[: count // 10] = hashes[-(count // 10) :] ^ np.uint64(0b1001)
    started = time.perf_counter()
    groups(hashes, 6)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where to; defaults to the system's own")
    arguments = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("pillow", "numpy", "joblib"))
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}\n")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        runs = []
        for count in sorted({BASE, *arguments.photos}):
            runs += measure(Path(folder), count, 1 if count > 10_000 else 5)
    table = pd.DataFrame(runs).groupby(["stage", "what", "photos"]).median().unstack("photos")
    seconds, memory = table["s"], table["MB"]
    counts = [count for count in arguments.photos if count > BASE]
    each = seconds[counts].sub(seconds[BASE], axis=0) * 1000 / [c - BASE for c in counts]
    for unit, shown in (("seconds", seconds), ("ms a photo", each), ("MB", memory)):
        print(f"{unit}:\n{shown.round(2).to_string()}\n")
    for count in (10_000, 100_000, 1_000_000):
        print(f"grouping {count:9,} hashes: {near_duplicates(count):6.2f} s")


if __name__ == "__main__":
    main()
