"""Measures what other networks gain below a head, on photos held out.

The stages up to augment run as in the pipeline. Then heads on each network learn from folds of the
training and validation photos, as train does, and each photo is judged by the head that did not
learn from it; near-duplicates never straddle, and the test split is left alone. Gains are over the
first network, paired by photo, and means over seeds of the training.

    python bench/networks.py /path/to/photos /path/to/others
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
from project import prepare, repro

from pipeline.augment import transforms
from pipeline.core import params
from pipeline.train import datasets, trainer
from pipeline.train.metrics import paired_accuracy_gain
from pipeline.train.settings import NetworkSettings, TrainingSettings

NETWORKS = (
    "efficientnet_lite2",
    "efficientnet_lite0+efficientnet_lite2",
)
SPLIT_SEED = 100  # other splits than those that results are told of


def load(
    source: Path, folder: Path, changes: list[str]
) -> tuple[params.Params, datasets.TrainingData]:
    """Params and what train would learn from, in a copy of the project."""
    environment = prepare(source, folder, changes)
    repro("augment", folder, environment)
    p = params.load(folder / "params.yaml")
    data, ranges = folder / "data", transforms.Ranges.of(p.augment)
    split = data / "split.parquet"
    cache = folder / ".cache"
    return p, datasets.TrainingData.load(data / "augmented", data / "resized", split, cache, ranges)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", type=Path, help="photos, a folder a species")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of the training")
    arguments = parser.parse_args()
    for source in arguments.sources:
        with tempfile.TemporaryDirectory() as folder:
            p, data = load(source.resolve(), Path(folder), [f"split.seed={SPLIT_SEED}"])
            first, rows = None, []
            for network in arguments.networks:
                started = time.monotonic()
                model = p.model.model_copy(update={"backbone": network})
                fits = [
                    trainer.fit(
                        NetworkSettings.of(model),
                        replace(TrainingSettings.of(p.train), seed=seed),
                        data,
                    )
                    for seed in range(arguments.seeds)
                ]
                held_out = pd.concat([fit.held_out for fit in fits])
                first = held_out if first is None else first
                gain, error = paired_accuracy_gain(held_out, first)
                rows.append(
                    {
                        "network": network,
                        "accuracy": held_out["right"].mean(),
                        "log-loss": pd.Series([fit.validation.log_loss for fit in fits]).mean(),
                        "gain": gain,
                        "its error": error,
                        "seconds": time.monotonic() - started,
                    }
                )
            told = f"{first['photo'].nunique()} photos held out, {arguments.seeds} seeds"
            print(f"\n{source.name}: {told}, {os.cpu_count()} cores;", end=" ")
            print("seconds where what stands above is known already")
            print(pd.DataFrame(rows).round(4).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
