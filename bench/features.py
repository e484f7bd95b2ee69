"""How fast frozen features are computed, and how many trials a minute they allow.

`feature_cache.extract`, with nothing cached, is compared with the bare engine, over the same
pictures in memory and as uint8: LiteRT interpreters with a thread of their own, one a core, and one
interpreter with a thread a core; and with Keras' `predict`. All in turn. Then the pipeline runs up
to train, which computes the features of the default network's parts, and tune, which has them in
its cache:
its trials are timed, as many as its minutes allow.

    python bench/features.py /path/to/photos
"""

import argparse
import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
from ai_edge_litert.interpreter import Interpreter
from project import change, prepare, repro

from pipeline.dataset.shards import Shards
from pipeline.inference.litert import Network
from pipeline.networks import backbones, feature_cache, keras_setup, litert_export

CORES = os.cpu_count() or 1
NETWORKS = ["efficientnet_lite0", "efficientnet_lite2"]


def bare(model: bytes, pictures: np.ndarray, threads: int) -> None:
    """The least that LiteRT can do: one interpreter, picture by picture."""
    interpreter = Interpreter(model_content=model, num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]["index"]
    answer = interpreter.get_output_details()[0]["index"]
    for picture in pictures:
        interpreter.set_tensor(entry, picture[None].astype(np.float32))
        interpreter.invoke()
        interpreter.get_tensor(answer)


def bare_on_threads(model: bytes, pictures: np.ndarray) -> None:
    threads = [Thread(target=bare, args=(model, pictures[i::CORES], 1)) for i in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def extract(model: feature_cache.Frozen, shards: Shards, count: int) -> None:
    with tempfile.TemporaryDirectory() as cache:
        for _ in feature_cache.extract(model, shards, np.arange(count), Path(cache)):
            pass


def rates(name: str, shards: Shards, count: int, repetitions: int) -> pd.Series:
    """Median pictures a second of each way through a network."""
    network = backbones.get(name).build(shards.size).whole
    network.compile(jit_compile=False)  # Keras' default, XLA, is several times slower on CPUs
    model = litert_export.to_litert(network)
    frozen = feature_cache.Frozen(model, lambda: Network(model))
    pictures = shards.take(range(count))
    ways: dict[str, Callable[[], object]] = {
        "features.extract": lambda: extract(frozen, shards, count),
        f"bare, {CORES} x 1 thread": lambda: bare_on_threads(model, pictures),
        f"bare, 1 x {CORES} threads": lambda: bare(model, pictures, CORES),
        "Keras predict": lambda: network.predict(pictures, verbose=0),
    }
    network.predict(pictures[:32], verbose=0)  # it traces the first time
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(repetitions):
        for way, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - started)
    return count / pd.DataFrame(seconds).median()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos, a folder a species")
    parser.add_argument("--photos", type=int, default=1024)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--set", nargs="*", default=[], help="params to change: resize.size=224")
    arguments = parser.parse_args()
    keras_setup.keras()
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        environment = prepare(arguments.source.resolve(), project, arguments.set)
        repro("resize", project, environment)
        shards = Shards(project / "data/resized")
        count = min(arguments.photos, len(shards))
        versions = (f"{n} {importlib.metadata.version(n)}" for n in ("keras", "ai-edge-litert"))
        print(f"{count} pictures of {shards.size} px, {CORES} cores, {platform.machine()}, Python")
        print(f"{platform.python_version()}, {', '.join(versions)}; medians of", end=" ")
        print(f"{arguments.repetitions}\n")
        for name in arguments.networks:
            table = rates(name, shards, count, arguments.repetitions).to_frame("pictures/s")
            table["of it extract has"] = table["pictures/s"].iloc[0] / table["pictures/s"]
            print(f"{name}\n{table.round(2).to_string()}\n", flush=True)
        repro("train", project, environment)
        change(project, ["tune.trials=1000"])
        repro("tune", project, environment)
        trials = pd.read_csv(project / "models/tuned/trials.csv")
    seconds, pruned = trials["seconds"], trials["state"] == "pruned"
    print(f"{len(trials)} trials: {60 / seconds.mean():.1f} a minute;", end=" ")
    print(f"medians: {pruned.sum()} pruned ones {seconds[pruned].median():.1f} s,", end=" ")
    print(f"the others {seconds[~pruned].median():.1f} s")


if __name__ == "__main__":
    main()
