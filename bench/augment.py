"""Augmentation: this pipeline against Keras' layers and Albumentations.

The same 224 px pictures, the same nine changes with the ranges of params.yaml and a hue of 10
degrees, one process pinned to one core, interleaved; medians of repetitions, in CPU seconds, so
that what else runs there counts for nobody. Keras gets batches of 32 and a compiled graph. Before
that what the stage as a whole does in wall seconds, from shards to shards.

    pip install -e '.[bench]'
    python bench/augment.py /path/to/photos
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pandas as pd

from pipeline.augment import copies, transforms
from pipeline.core import parallel, params
from pipeline.dataset import shards
from pipeline.inference import decoding
from pipeline.networks import keras_setup

SIZE, HUE, KERAS_BATCH = 224, 10, 32
OCCASIONAL = ("grey", "blur", "jpeg", "cutout", "night", "resolution", "noise")


def ours(ranges: transforms.Ranges, pictures: np.ndarray) -> None:
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng(number)
        transforms.altered(picture, transforms.draw(ranges, rng))


def with_keras(ranges: transforms.Ranges) -> Callable[[np.ndarray], None]:
    """Keras' layers with the same ranges, drawn as each draws them."""
    keras = keras_setup.keras()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    layers, reach = keras.layers, ranges.saturation
    chain = keras.Sequential(
        [
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(ranges.rotation / 360),
            layers.RandomZoom(ranges.zoom),
            layers.RandomTranslation(ranges.shift, ranges.shift),
            layers.RandomShear(*[np.tan(np.deg2rad(ranges.shear))] * 2),
            layers.RandomBrightness(ranges.brightness),
            layers.RandomContrast(ranges.contrast),
            layers.RandomSaturation((1 / (2 + reach), (1 + reach) / (2 + reach))),
            layers.RandomHue(ranges.hue / 180),
        ]
    )
    graph = tf.function(lambda batch: chain(batch, training=True))

    def run(pictures: np.ndarray) -> None:
        for start in range(0, len(pictures), KERAS_BATCH):
            graph(pictures[start : start + KERAS_BATCH].astype(np.float32)).numpy()

    return run


def with_albumentations(ranges: transforms.Ranges, quickest: bool) -> Callable[[np.ndarray], None]:
    """One affine map and `ColorJitter`, or the quickest transforms that do nearly the same."""
    A = albumentations

    def factor(reach: float) -> tuple[float, float]:
        return 1 / (1 + reach), 1 + reach

    affine = A.Affine(
        scale=factor(ranges.zoom),
        translate_percent=(-ranges.shift, ranges.shift),
        rotate=(-ranges.rotation, ranges.rotation),
        shear=(-ranges.shear, ranges.shear),
        border_mode=cv2.BORDER_REFLECT,
        p=1,
    )
    jitter = A.ColorJitter(
        factor(ranges.brightness),
        factor(ranges.contrast),
        factor(ranges.saturation),
        (-ranges.hue / 360, ranges.hue / 360),
        p=1,
    )
    quick = (
        A.RandomBrightnessContrast(ranges.brightness, ranges.contrast, p=1),
        A.HueSaturationValue(round(ranges.hue / 2), round(ranges.saturation * 255), 0, p=1),
    )
    chain = A.Compose([A.HorizontalFlip(p=0.5), affine, *(quick if quickest else [jitter])])

    def run(pictures: np.ndarray) -> None:
        for picture in pictures:
            chain(image=picture)

    return run


def rates(peers: dict[str, Callable[[np.ndarray], None]], pictures: np.ndarray, repetitions: int):
    """Pictures a CPU second of each, the median of interleaved repetitions after one to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    for repetition in range(repetitions + 1):
        for name, peer in peers.items():
            started = time.process_time()
            peer(pictures)
            if repetition:
                seconds[name].append(time.process_time() - started)
    return pd.Series({name: len(pictures) / statistics.median(s) for name, s in seconds.items()})


def stage(ranges: transforms.Ranges, pictures: np.ndarray, repetitions: int) -> pd.Series:
    """Pictures a second and core from shards on disk to shards on disk, with one process and all.

    Workers are started by a first run, as the seconds that takes do not grow with a collection.
    """
    with tempfile.TemporaryDirectory() as folder:
        resized, augmented = Path(folder) / "resized", Path(folder) / "augmented"
        index = pd.DataFrame({"photo": [f"{i}" for i in range(len(pictures))], "species": ""})
        resized.mkdir()
        parts = list(parallel.chunks(pictures, shards.LENGTH))
        for number, part in enumerate(parts):
            np.save(shards.path(resized, number), part)
        shards.write_index(resized, index, [len(part) for part in parts])
        rows = copies.expand(shards.Shards(resized).index, 9, 9)
        cores, found = os.cpu_count(), {}
        for jobs in sorted({1, cores}):
            seconds = []
            for _ in range(repetitions + 1):
                started = time.perf_counter()
                copies.write(augmented, resized, rows, ranges, 0, jobs)
                seconds.append(time.perf_counter() - started)
            rate = rows["copy"].gt(0).sum() / statistics.median(seconds[1:]) / jobs
            found[f"{jobs} process{'es' * (jobs > 1)}"] = rate
    return pd.Series(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a folder with JPEGs anywhere in it")
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=7)
    arguments = parser.parse_args()
    paths = sorted(arguments.source.rglob("*.jpg"))
    step = max(1, len(paths) // arguments.pictures)
    chosen = paths[::step][: arguments.pictures]
    pictures = np.stack([decoding.square(path.read_bytes(), SIZE) for path in chosen])
    written = transforms.Ranges.of(params.load().augment)
    usual = replace(written, hue=HUE, **dict.fromkeys(OCCASIONAL, 0.0))

    versions = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("opencv-python-headless", "keras", "tensorflow", "albumentations")
    ]
    print(f"{platform.machine()}, {os.cpu_count()} cores; {', '.join(versions)}")
    print(f"{len(pictures)} pictures of {SIZE} px, medians of {arguments.repetitions}")
    print("\nfrom shards to shards, pictures/s a core:")
    print(stage(usual, pictures, arguments.repetitions).round().to_string())

    cv2.setNumThreads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    peers = {
        "this pipeline": partial(ours, usual),
        "Albumentations": with_albumentations(usual, quickest=False),
        "Albumentations, quickest": with_albumentations(usual, quickest=True),
        "Keras layers": with_keras(usual),
    }
    table = rates(peers, pictures, arguments.repetitions).to_frame("pictures/s")
    table["ratio"] = table["pictures/s"] / table.loc["this pipeline", "pictures/s"]
    print("\none core, everything usual on:")
    print(table.round(3).to_string())

    alone = {
        name: partial(ours, transforms.Ranges(**vars(usual) | {name: 1.0})) for name in OCCASIONAL
    }
    print("\none core, this pipeline, everything usual and always:")
    print(rates(alone, pictures, arguments.repetitions).round().to_string())


if __name__ == "__main__":
    main()
