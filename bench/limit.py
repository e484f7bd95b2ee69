"""What each stage takes, beside the work in it that no program can avoid.

The pipeline runs from photos to a registered version, with nothing cached. Then the bare work of
every stage is done once more, in this process and on all cores: reading and hashing the files;
Pillow's decoding and resizing; one warp a copy; LiteRT's forward passes, an interpreter with one
thread a core; numpy's matrix products of the heads, forward and backward, of as many folds, epochs
and trials as were trained; one conversion of the network by TensorFlow's converter; hashing what
is registered. Each stage is also started with what its script imports first, without its work.

    python bench/limit.py /path/to/photos
"""

import argparse
import contextlib
import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import cv2
import mlflow
import numpy as np
import pandas as pd
from features import bare_on_threads
from PIL import Image
from project import prepare
from ruamel.yaml import YAML

from pipeline.dataset.shards import Shards
from pipeline.evaluate.corruptions import CORRUPTIONS
from pipeline.evaluate.robustness import PHOTOS
from pipeline.networks import backbones, keras_setup, litert_export

STAGES = ("ingest", "resize", "split", "augment", "train", "tune", "evaluate", "register")
CORES = os.cpu_count() or 1
RUNS = {"train": "train", "tune": ("tune", "trial")}  # names of MLflow's runs
START = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='started')"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def hashed(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def resized(path: Path, size: int) -> None:
    image = Image.open(path)
    image.draft("RGB", (2 * size, 2 * size))
    image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)


def warped(picture: np.ndarray) -> None:
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), 10, 1.1)
    cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REFLECT)


def on_all_cores(work: Callable[[Path], object], paths: list[Path]) -> None:
    with ProcessPoolExecutor(CORES) as pool:
        list(pool.map(work, paths, chunksize=32))


def products(rows: int, widths: Sequence[int], batch: int) -> None:
    """One epoch of dense layers of these widths: forward, and gradients of weights and inputs."""
    pairs = list(itertools.pairwise(widths))
    layers = [np.random.default_rng(0).random(pair, dtype=np.float32) for pair in pairs]
    inputs = [np.ones((batch, width), np.float32) for width in widths]
    for _ in range(-(-rows // batch)):
        for i, (weights, (x, y)) in enumerate(zip(layers, itertools.pairwise(inputs), strict=True)):
            x @ weights
            x.T @ y
            if i:  # the features below the first layer are frozen
                y @ weights.T


@cache
def channels(backbone: str) -> int:
    """Returns how many features a network, or several side by side, give."""
    return backbones.get(backbone).network(224).output.shape[-1]


class Run:
    """A run of the pipeline in a folder of its own, and the bare work of it."""

    def __init__(self, source: Path, folder: Path, changes: list[str]):
        environment = prepare(source, folder, changes)
        shell = partial(subprocess.run, cwd=folder, env=environment, check=True)
        self.whole = seconds(lambda: shell(["dvc", "repro"], stdout=subprocess.DEVNULL))
        self.stages = json.loads((folder / ".cache/stage_seconds.json").read_text())
        self.imports = {
            name: seconds(lambda n=name: shell([sys.executable, "-c", START, f"stages/{n}.py"]))
            for name in STAGES
        }
        self.folder, self.params = folder, YAML(typ="safe").load(folder / "params.yaml")
        manifest = pd.read_parquet(folder / "data/ingested/manifest.parquet")
        self.paths = [source / path for path in manifest["path"]]
        split = pd.read_parquet(folder / "data/split.parquet").set_index("photo")
        self.shards, self.copies = (
            Shards(folder / "data/resized"),
            Shards(folder / "data/augmented"),
        )
        of = self.shards.index["photo"].map(split["split"])
        self.test, self.validation = (self.shards.index[of == s] for s in ("test", "validation"))
        self.learned = len(self.copies) + len(self.validation)
        trained = json.loads((folder / "models/trained/run.json").read_text())
        self.backbone = trained["model"]["backbone"]
        self.species, self.folds = manifest["species"].nunique(), self.params["split"]["folds"]

    def bare(self) -> dict[str, float]:
        """Returns the seconds of each stage's bare work."""
        size, final = self.shards.size, self.folder / "models/final"
        copies = self.copies.take(np.flatnonzero(self.copies.index["copy"] > 0))
        keras = keras_setup.keras()
        network = keras.saving.load_model(final / "model.keras")
        model = (final / "model.tflite").read_bytes()
        tested = self.shards.take(self.test.index)
        parity = self.params["evaluate"]["parity"]
        again = tested[: len(tested) if parity == "all" else parity]
        worsened = np.resize(tested, (PHOTOS * len(CORRUPTIONS), *tested.shape[1:]))
        return {
            "ingest": seconds(lambda: on_all_cores(hashed, self.paths)),
            "resize": seconds(lambda: on_all_cores(partial(resized, size=size), self.paths)),
            "split": 0.0,
            "augment": seconds(lambda: self._warp(copies)),
            "train": self._passes() + self._heads("train"),
            "tune": self._heads("tune"),
            "evaluate": seconds(lambda: self._convert(network))
            + seconds(lambda: bare_on_threads(model, np.concatenate([tested, worsened]))),
            "register": seconds(lambda: bare_on_threads(model, again))
            + seconds(lambda: [hashed(path) for path in final.iterdir()]),
        }

    def _warp(self, copies: np.ndarray) -> None:
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(warped, copies))

    def _passes(self) -> float:
        """Returns the seconds of a forward pass of all that is learned, through each network."""
        sample, took = self.copies.take(np.arange(min(256, len(self.copies)))), 0.0
        for name in self.backbone.split("+"):
            model = litert_export.to_litert(backbones.get(name).build(self.shards.size).whole)
            took += seconds(lambda m=model: bare_on_threads(m, sample))
        return took / len(sample) * self.learned

    def _heads(self, stage: str) -> float:
        """Returns the seconds of multiplying what the runs of a stage have multiplied."""
        client, took = mlflow.MlflowClient(f"sqlite:///{self.folder / 'mlflow.db'}"), 0.0
        (experiment,) = client.search_experiments(filter_string="name = 'animal'")
        for run in client.search_runs([experiment.experiment_id]):
            if (run.info.run_name or "").startswith(RUNS[stage]):
                drawn = run.data.params
                epochs = len(client.get_metric_history(run.info.run_id, "val_accuracy"))
                hidden = int(drawn["model.hidden"]) * self.folds
                widths = [channels(drawn["model.backbone"]), self.species * self.folds]
                widths[1:1] = [hidden] if hidden else []
                batch = int(drawn["train.batch_size"])
                took += epochs * seconds(lambda w=widths, b=batch: products(self.learned, w, b))
        return took

    @staticmethod
    def _convert(network: object) -> None:
        import tensorflow as tf

        with contextlib.redirect_stdout(io.StringIO()):  # it lists all weights
            tf.lite.TFLiteConverter.from_keras_model(network).convert()

    def table(self) -> pd.DataFrame:
        """Returns a row a stage and one of the sums, in seconds."""
        columns = {"work": self.stages, "imports": self.imports, "bare": self.bare()}
        table = pd.DataFrame(columns).loc[list(STAGES)]
        table.insert(2, "takes", table["work"] + table["imports"])
        table.loc["sum"] = table.sum()
        return table.assign(ratio=table["takes"] / table["bare"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos, a folder a species")
    parser.add_argument("--set", nargs="*", default=[], help="params to change: tune.trials=10")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = Run(arguments.source.resolve(), Path(temporary), arguments.set)
        table = run.table()
    print(f"{len(run.paths)} photos, {CORES} cores; seconds\n")
    print(table.replace(np.inf, np.nan).round(1).to_string(na_rep=""))
    rest = run.whole - table.loc["sum", "takes"]
    print(f"\nthe whole run {run.whole:.0f} s, of which DVC {rest:.0f} s beside the stages")


if __name__ == "__main__":
    main()
