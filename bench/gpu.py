r"""What a GPU does for training: frozen features, heads, and fine-tuning in half precision.

Runs the stages up to augment in a copy of the project for each split seed, and trains each set-up
on what TensorFlow finds. Prints test accuracy, seconds, and
pictures a second in the median epoch of the last phase.

    python bench/gpu.py /path/to/photos --seeds 0 1 2
    python bench/gpu.py /path/to/photos --setups "4 blocks" "all blocks" \\
        --set model.backbone=efficientnet_lite2
    python bench/gpu.py /path/to/photos --setups "all blocks" --cut 2 20000 \\
        --set model.backbone=efficientnet_lite0
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import score
from networks import load

from pipeline.core import params
from pipeline.inference.litert import Network
from pipeline.networks import backbones, devices, feature_cache, keras_setup
from pipeline.networks.backbones.backbone import blocks
from pipeline.train import datasets, trainer
from pipeline.train.settings import NetworkSettings, TrainingSettings

SETUPS = {
    "as they stand": {},
    "in float32": {"train.precision": "float32"},
    "4 blocks": {"train.batch_size": 64, "model.unfrozen_blocks": 4},
    "all blocks": {"train.batch_size": 64, "model.unfrozen_blocks": None},  # None: as many as are
}


def changed(p: params.Params, setup: str) -> params.Params:
    lines = dict(SETUPS[setup])
    if lines.get("model.unfrozen_blocks", 0) is None:
        network = backbones.get(backbones.chosen(p.model.backbone)).network(p.resize.size)
        lines["model.unfrozen_blocks"] = len(blocks(network))
    return params.replaced(p, lines)


def cut(number: int, megabytes: int) -> None:
    """Makes several GPUs of the first one, each with so much memory."""
    import tensorflow as tf

    pieces = [tf.config.LogicalDeviceConfiguration(memory_limit=megabytes)] * number
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("GPU")[0], pieces)


def rates(data: datasets.TrainingData, name: str, litert: Path) -> None:
    """Pictures a second through a frozen network, on the GPU and in LiteRT on every core."""
    shards, positions = data.training.shards, data.training.positions
    exported = litert.read_bytes()
    ways = {
        "at hand": feature_cache.Frozen.of(
            backbones.get(name).build(shards.size).whole, data.cache
        ),
        "LiteRT": feature_cache.Frozen(exported, lambda: Network(exported)),
    }
    print(f"{name}, {len(positions)} pictures of {shards.size} px, a second")
    found = {}
    for turn in range(3):
        for way, frozen in ways.items():
            with tempfile.TemporaryDirectory() as cache:
                started = time.monotonic()
                parts = feature_cache.extract(frozen, shards, positions, Path(cache))
                found[way] = np.concatenate([values for values, _ in parts])
                rate = len(positions) / (time.monotonic() - started)
            print(f"  {way}, turn {turn + 1}: {rate:.0f}", flush=True)
    apart = np.abs(found["at hand"] - found["LiteRT"]).max() / np.abs(found["LiteRT"]).max()
    print(f"  largest difference, of the largest feature: {apart:.1e}")


def judge(p: params.Params, data: datasets.TrainingData, folder: Path, twice: bool) -> dict:
    """A row of the table."""
    started = time.monotonic()
    trained = trainer.fit(NetworkSettings.of(p.model), TrainingSettings.of(p.train), data)
    row = {"seconds": time.monotonic() - started, "test": score(trained.model, folder).accuracy}
    last = trained.history[trained.history["phase"] == trained.history["phase"].iloc[-1]]
    row |= {"validation": trained.validation.accuracy, "epochs": len(trained.history)}
    row |= {"first loss": trained.history["loss"].iloc[0]}
    row |= {"batch": trained.training.batch_size}
    row |= {"pictures/s": last["pictures_per_second"].median()}
    if twice:
        again = trainer.fit(
            NetworkSettings.of(p.model), TrainingSettings.of(p.train), data
        ).model.get_weights()
        pairs = zip(again, trained.model.get_weights(), strict=True)
        row["same twice"] = all(np.array_equal(*pair) for pair in pairs)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos, a folder a species")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="split seeds")
    usual = ["as they stand", "in float32"]  # the default network has no blocks to unfreeze
    parser.add_argument("--setups", nargs="*", default=usual, choices=list(SETUPS))
    parser.add_argument("--set", nargs="*", default=[], help="params to change: train.epochs=5")
    parser.add_argument(
        "--litert", type=Path, help="EfficientNet-Lite0, exported: compare features"
    )
    parser.add_argument("--twice", action="store_true", help="train twice, and compare the weights")
    parser.add_argument("--cut", nargs=2, type=int, metavar=("N", "MB"), help="make N GPUs of one")
    arguments = parser.parse_args()
    keras_setup.keras()
    if arguments.cut:
        cut(*arguments.cut)
    print(f"{devices.training_gpus()}, {os.cpu_count()} cores", flush=True)
    rows = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            changes = [f"split.seed={seed}", *arguments.set]
            p, data = load(arguments.source.resolve(), folder, changes)
            if arguments.litert:
                rates(data, "efficientnet_lite0", arguments.litert)
            for setup in arguments.setups:
                row = {"setup": setup, "seed": seed}
                rows.append(row | judge(changed(p, setup), data, folder, arguments.twice))
                print(pd.DataFrame(rows[-1:]).round(4).to_string(index=False), flush=True)
    print(f"\n{len(arguments.seeds)} split seeds, mean and standard error")
    table = pd.DataFrame(rows).groupby("setup", sort=False)
    print(table[["test", "validation", "seconds"]].agg(["mean", "sem"]).round(4).to_string())


if __name__ == "__main__":
    main()
