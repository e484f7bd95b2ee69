"""Resizing: this pipeline against bare Pillow and Keras' image_dataset_from_directory.

The same files, the same size, the same number of processes, interleaved; medians of repetitions.
Small photos are the given ones; large ones are made from some of them, 4000 x 3000 px.

    python bench/resize.py ../shared/photos/main13
"""

import argparse
import io
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import engine, parallel, photos, resizing

SIZE, BATCH = 224, 64


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
    sum(parallel.each(function, parallel.chunks(paths, BATCH), jobs))


def ours(root: Path, manifest: pd.DataFrame, jobs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache, shards = Path(folder, "cache"), Path(folder, "shards")
        resizing.write(shards, root, manifest, SIZE, "crop", photos.MAX_PIXELS, jobs, cache)


def keras_dataset(root: Path) -> None:
    dataset = engine.keras().utils.image_dataset_from_directory(
        root, image_size=(SIZE, SIZE), crop_to_aspect_ratio=True, shuffle=False, verbose=False
    )
    for _ in dataset:
        pass


def measure(root: Path, jobs: int, repetitions: int) -> pd.DataFrame:
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    manifest = pd.DataFrame(
        {
            "path": [str(path.relative_to(root)) for path in paths],
            "photo": [photos.identity(path.read_bytes()) for path in paths],
            "species": [path.parent.name for path in paths],
        }
    )
    peers = {
        "this pipeline": partial(ours, root, manifest, jobs),
        "bare Pillow (draft)": partial(spread, bare, paths, jobs),
        "plain Pillow": partial(spread, plain, paths, jobs),
        "Keras image_dataset_from_directory": partial(keras_dataset, root),
    }
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for name, peer in peers.items():
        if name != "plain Pillow":
            peer()  # workers started, files in the page cache
    for _ in range(repetitions):
        for name, peer in peers.items():
            started = time.perf_counter()
            peer()
            seconds[name].append(time.perf_counter() - started)
    rates = {name: len(paths) / statistics.median(times) for name, times in seconds.items()}
    table = pd.DataFrame({"photos/s": rates})
    return table.assign(ratio=table["photos/s"] / table.loc["this pipeline", "photos/s"])


def enlarge(source: Path, folder: Path, count: int) -> None:
    """Large JPEGs with the content of real ones, in class folders."""
    paths = sorted(source.rglob("*.jpg"))
    for i, path in enumerate(paths[:: max(1, len(paths) // count)][:count]):
        target = folder / f"class{i % 2}" / f"{i}.jpg"
        target.parent.mkdir(exist_ok=True)
        Image.open(path).convert("RGB").resize((4000, 3000)).save(target, quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="class folders of JPEGs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{arguments.jobs} processes, medians of {arguments.repetitions}")
    print(f"\n{arguments.source.name}:")
    print(measure(arguments.source, arguments.jobs, arguments.repetitions).round(2).to_string())
    with tempfile.TemporaryDirectory() as folder:
        enlarge(arguments.source, Path(folder), 128)
        print("\n128 photos of 12 MP:")
        print(measure(Path(folder), arguments.jobs, arguments.repetitions).round(2).to_string())


if __name__ == "__main__":
    main()
