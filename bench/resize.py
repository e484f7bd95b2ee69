"""Resizing and ingest against bare Pillow and Keras' image_dataset_from_directory.

The same files, the same size, the same number of processes, interleaved; medians of repetitions.
Photos of 500 x 375 and of 4000 x 3000 px are made from those of a collection. Ingest of 10,000 of
500 px, as DVC runs it with nothing known of them, stands against a script that decodes each once.

    python bench/resize.py /path/to/photos       # some 6 minutes
"""

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from project import PROJECT, change

from pipeline.core import parallel
from pipeline.inference import decoding
from pipeline.networks import keras_setup
from pipeline.resize import shard_writer

SIZE, BATCH = 224, 16


def plain(paths: list[Path]) -> int:
    """What a tutorial does: decode all of it, then resize."""
    for path in paths:
        np.asarray(Image.open(path).convert("RGB").resize((SIZE, SIZE)))
    return len(paths)


def bare(paths: list[Path]) -> int:
    """The least that fast Pillow can do: draft, decode, crop and resize, and no check at all."""
    for path in paths:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.draft(None, (2 * SIZE, 2 * SIZE))
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box, reducing_gap=2.0)
        np.asarray(image.convert("RGB"))
    return len(paths)


def spread(function, paths: list[Path], jobs: int) -> None:
    sum(parallel.map_ordered(function, parallel.chunks(paths, BATCH), jobs))


def ours(root: Path, wanted: pd.DataFrame, jobs: int, folder: Path) -> None:
    cache, shards = folder / "cache", folder / "shards"
    squares = shard_writer.Squares(root, SIZE, "crop", decoding.MAX_PIXELS)
    shard_writer.write(shards, squares, wanted, jobs, cache)


def keras_dataset(root: Path) -> None:
    dataset = keras_setup.keras().utils.image_dataset_from_directory(
        root, image_size=(SIZE, SIZE), crop_to_aspect_ratio=True, shuffle=False, verbose=False
    )
    for _ in dataset:
        pass


def measure(root: Path, jobs: int, repetitions: int) -> pd.DataFrame:
    """Photos a second of each peer; what a run leaves to write or remove is not the next one's."""
    written = root.with_name(f"{root.name} resized")
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    wanted = pd.DataFrame(
        {
            "path": [str(path.relative_to(root)) for path in paths],
            "photo": [decoding.identity(path.read_bytes()) for path in paths],
            "species": [path.parent.name for path in paths],
            **dict.fromkeys(("width", "height", "box")),
        }
    )
    peers = {
        "this pipeline": partial(ours, root, wanted, jobs, written),
        "bare Pillow (draft)": partial(spread, bare, paths, jobs),
        "plain Pillow": partial(spread, plain, paths, jobs),
        "Keras image_dataset_from_directory": partial(keras_dataset, root),
    }
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for name, peer in peers.items():
        if name != "plain Pillow":
            peer()  # workers started, files in the page cache
            shutil.rmtree(written, ignore_errors=True)
    for _ in range(repetitions):
        for name, peer in peers.items():
            os.sync()
            started = time.perf_counter()
            peer()
            seconds[name].append(time.perf_counter() - started)
            shutil.rmtree(written, ignore_errors=True)
    rates = {name: len(paths) / statistics.median(times) for name, times in seconds.items()}
    table = pd.DataFrame({"photos/s": rates})
    return table.assign(ratio=table["photos/s"] / table.loc["this pipeline", "photos/s"])


def make(source: Path, folder: Path, count: int, size: tuple[int, int]) -> None:
    """JPEGs of one size with the content of real ones, each another, in class folders."""
    paths = sorted(source.rglob("*.jpg"))
    numbered = [(i, paths[i * len(paths) // count]) for i in range(count)]
    for name in ("class0", "class1"):
        (folder / name).mkdir(parents=True)
    work = partial(_make, folder, size)
    for _ in parallel.map_ordered(work, parallel.chunks(numbered, BATCH), -1):
        pass


def _make(folder: Path, size: tuple[int, int], numbered: list[tuple[int, Path]]) -> None:
    for i, path in numbered:
        cut = i % 7  # the same picture is taken again, but never the same pixels
        image = Image.open(path).convert("RGB")
        image = image.resize(size, box=(cut, cut, image.width, image.height))
        image.save(folder / f"class{i % 2}" / f"{i}.jpg", quality=90 - i % 5)


def decode(paths: list[str]) -> None:
    for path in paths:
        Image.open(path).load()


def decode_all(folder: str, jobs: int) -> None:
    paths = [str(path) for path in Path(folder).rglob("*.jpg")]
    for _ in parallel.map_ordered(decode, parallel.chunks(paths, BATCH), jobs):
        pass


def measure_ingest(photos_folder: Path, jobs: int, repetitions: int) -> pd.DataFrame:
    """Seconds of whole processes, from their start to their end."""
    lines = [f"ingest.source={json.dumps(str(photos_folder))}", f"parallel.jobs={jobs}"]
    code = f"import resize; resize.decode_all({str(photos_folder)!r}, {jobs})"
    commands = {
        "ingest": [sys.executable, str(PROJECT / "stages/ingest.py")],
        "decode each photo once": [sys.executable, "-c", code],
    }
    environment = os.environ | {"PYTHONPATH": f"{PROJECT / 'src'}:{PROJECT / 'bench'}"}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repetitions):
        for name, command in commands.items():
            with tempfile.TemporaryDirectory() as project:
                change(Path(project), lines)
                os.sync()
                started = time.perf_counter()
                subprocess.run(
                    command, cwd=project, env=environment, check=True, capture_output=True
                )
                seconds[name].append(time.perf_counter() - started)
    table = pd.DataFrame({"s": {name: statistics.median(s) for name, s in seconds.items()}})
    return table.assign(ratio=table["s"] / table.loc["decode each photo once", "s"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="class folders of JPEGs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("pillow", "numpy", "joblib"))
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    print(f"{arguments.jobs} processes, medians of {arguments.repetitions}")
    with tempfile.TemporaryDirectory() as folder:
        for name, count, size in (("500 px", 2000, (500, 375)), ("12 MP", 96, (4000, 3000))):
            make(arguments.source, Path(folder, name), count, size)
            print(f"\n{count} photos of {name}:")
            table = measure(Path(folder, name), arguments.jobs, arguments.repetitions)
            print(table.round(2).to_string())
        make(arguments.source, Path(folder, "many"), 10_000, (500, 375))
        print("\n10,000 photos of 500 px:")
        print(measure_ingest(Path(folder, "many"), arguments.jobs, 3).round(2).to_string())


if __name__ == "__main__":
    main()
