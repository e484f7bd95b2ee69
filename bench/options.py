"""What each option of training gains or loses, on real photos, group-aware, over several seeds.

A seed gives another split and other random numbers. Training stops by the validation photos; the
accuracy is that on the held-out rest, and so is the log-loss, with probabilities calibrated on
validation. Differences are paired: the same photos and seed, less the params as they stand.

    python bench/options.py /path/to/photos /path/to/others
    python bench/options.py /path/to/photos --set model.backbone=scratch_cnn resize.size=96
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import project
from scipy.special import softmax

from pipeline.augment import transforms
from pipeline.core import params
from pipeline.dataset.shards import Shards
from pipeline.evaluate import calibration_fit
from pipeline.networks import feature_cache
from pipeline.split import assignment
from pipeline.train import datasets, feature_store, trainer
from pipeline.train.feature_store import Features, Pictures
from pipeline.train.metrics import Score
from pipeline.train.settings import NetworkSettings, TrainingSettings

OPTIONS = {
    "no warm-up": {"train.warm_up": 0},
    "warm-up of 3 epochs": {"train.warm_up": 3},
    "balance none": {"train.balance": "none"},
    "balance weights": {"train.balance": "weights"},
    "no weight decay": {"train.weight_decay": 0.0},
    "weight decay 0.01": {"train.weight_decay": 0.01},
    "weight decay 0.1": {"train.weight_decay": 0.1},
    "weight decay 1": {"train.weight_decay": 1.0},
    "weight decay 10": {"train.weight_decay": 10.0},
    "no dropout": {"model.dropout": 0.0},
    "dropout 0.2": {"model.dropout": 0.2},
    "dropout 0.7": {"model.dropout": 0.7},
    "hidden 64": {"model.hidden": 64},
}


class SharedFeatures(feature_store.FeatureStore):
    """Features of all pictures, computed once for all splits."""

    def __init__(self, parts: dict[str, Pictures], cache: Path, shared: dict) -> None:
        super().__init__(parts, cache)
        self._splits, self._folder, self._shared = parts, cache, shared

    def get(self, network: Any) -> tuple[Features, ...]:
        shards = self._splits["training"].shards
        if not self._shared:
            model = feature_cache.Frozen.of(network, self._folder / "litert")
            everything = np.arange(len(shards))
            parts = feature_cache.extract(model, shards, everything, self._folder / "features")
            self._shared["features"] = np.concatenate([values for values, _ in parts])
        values = self._shared["features"]
        return tuple(Features((values,), part.positions) for part in self._splits.values())


class OneSplit(datasets.TrainingData):
    """One split of photos whose features are computed once for all splits."""

    def __init__(
        self, pictures: dict[str, Pictures], cache: Path, ranges: transforms.Ranges, shared: dict
    ) -> None:
        training, validation, self.held_out = pictures.values()
        super().__init__(training, validation, None, cache, ranges)
        parts = {"training": training, "validation": validation}
        self.features, self._shared = SharedFeatures(parts, cache, shared), shared

    def probabilities(self, model: Any, pictures: Pictures) -> np.ndarray:
        """Predicts with a trained recogniser, (n, species)."""
        if not self._shared:
            return model.predict(pictures.take(np.arange(len(pictures.positions))), verbose=0)
        features = self._shared["features"][pictures.positions]
        return softmax(model.get_layer("head").predict(features, verbose=0), axis=1)


def prepare(source: Path, folder: Path, changes: list[str]) -> None:
    """The pictures of all photos, and altered copies of all, in a copy of the project."""
    environment = project.prepare(source, folder, changes)
    for stage in ("ingest", "resize", "augment"):
        if stage == "augment":
            split = pd.read_parquet(folder / "data/ingested/manifest.parquet").assign(split="train")
            split[["photo", "species", "group", "split"]].to_parquet(folder / "data/split.parquet")
        command = [sys.executable, f"stages/{stage}.py"]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def split(folder: Path, p: params.Params, seed: int, memory: dict) -> OneSplit:
    """The data of one seed."""
    manifest = pd.read_parquet(folder / "data/ingested/manifest.parquet").set_index("photo")
    shards = Shards(folder / "data/augmented")
    share = assignment.assign(manifest.reset_index(), p.split.train, p.split.validation, seed)
    part = shards.index["photo"].map(dict(zip(manifest.index, share, strict=True)))
    pictures = {
        name: Pictures(
            shards,
            np.flatnonzero((part == name) & ((name == "train") | (shards.index["copy"] == 0))),
        )
        for name in assignment.SPLITS
    }
    return OneSplit(pictures, folder / ".cache", transforms.Ranges.of(p.augment), memory)


def judge(p: params.Params, data: OneSplit) -> dict[str, float]:
    """Accuracy, calibrated log-loss, epochs and seconds of one training."""
    started = time.monotonic()
    trained = trainer.fit(NetworkSettings.of(p.model), TrainingSettings.of(p.train), data)
    seconds = time.monotonic() - started
    calibration = calibration_fit.fit(
        data.probabilities(trained.model, data.validation), data.targets(data.validation)
    )
    said = calibration.apply(data.probabilities(trained.model, data.held_out))
    score = Score.of(said, data.targets(data.held_out))
    return {
        "accuracy": score.accuracy,
        "log_loss": score.log_loss,
        "epochs": len(trained.history),
        "seconds": seconds,
    }


def show(rows: list[dict]) -> None:
    """Means, and mean and standard error of what each option adds to the params as they stand."""
    table = pd.DataFrame(rows)
    keys = ["collection", "seed"]
    stand = table[table["option"] == "as they stand"].set_index(keys)[["accuracy", "log_loss"]]
    gain = table.set_index(keys)[["accuracy", "log_loss"]] - stand
    table[["gain", "less_loss"]] = gain.to_numpy()
    for name, part in table.groupby("collection", sort=False):
        by = part.groupby("option", sort=False)
        mean, error = by.mean(numeric_only=True), by[["gain", "less_loss"]].sem()
        shown = mean[["accuracy", "log_loss", "epochs", "seconds"]].round(4)
        for column, label in (("gain", "accuracy +-"), ("less_loss", "log-loss +-")):
            pairs = zip(mean[column], error[column], strict=True)
            shown[label] = [f"{m:+.4f} ({e:.4f})" for m, e in pairs]
        print(f"\n{name}, {part['seed'].nunique()} seeds, {os.cpu_count()} cores")
        print(shown.to_string(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sources", nargs="+", type=Path, help="collections of photos")
    parser.add_argument("--seeds", nargs="+", type=int, default=[100, 101, 102, 103, 104])
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=list(OPTIONS))
    parser.add_argument("--set", nargs="*", default=[], help="params to change: train.epochs=5")
    parser.add_argument("--keep", type=Path, help="folder to prepare in; used again if it is there")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for source in arguments.sources:
            folder = (arguments.keep or Path(temporary)) / source.name
            if not folder.exists():
                prepare(source.resolve(), folder, arguments.set)
            (folder / "params.yaml").unlink()  # it may be kept from other ones
            project.change(folder, arguments.set)
            memory: dict = {}
            start = params.load(folder / "params.yaml")
            if start.model.unfrozen_blocks:
                parser.error("this compares heads and networks from pixels: unfreeze no blocks")
            for seed in arguments.seeds:
                data = split(folder, start, seed, memory)
                seeded = params.replaced(start, {"train.seed": seed})
                for option in ("as they stand", *arguments.options):
                    p = params.replaced(seeded, OPTIONS.get(option, {}))
                    if option in OPTIONS and p == seeded:
                        continue
                    about = {"collection": source.name, "seed": seed, "option": option}
                    rows.append(about | judge(p, data))
                    print(rows[-1], file=sys.stderr, flush=True)
            show([row for row in rows if row["collection"] == source.name])


if __name__ == "__main__":
    main()
