"""Measures what other networks gain below a head, on photos held out.

The stages up to augment run as in the pipeline. Then heads on each network learn from folds of the
training and validation photos, as train does, and each photo is judged by the head that did not
learn from it; near-duplicates never straddle, and the test split is left alone. Gains are over the
first network, paired by photo, and means over seeds of the training. Beside them stand the
milliseconds of a picture in LiteRT on one core, the median of 30, and the megabytes of its file.

    python bench/networks.py /path/to/photos /path/to/others --picture docs/networks.png
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from project import prepare, repro

from pipeline.augment import transforms
from pipeline.core import params
from pipeline.dataset import plot_style
from pipeline.inference.litert import Network
from pipeline.networks import backbones, litert_export
from pipeline.train import datasets, trainer
from pipeline.train.metrics import paired_accuracy_gain
from pipeline.train.settings import NetworkSettings, TrainingSettings

NETWORKS = (
    "efficientnet_lite2",
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite0+efficientnet_lite2",
    "efficientnet_lite1+efficientnet_lite2",
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


def costs(network: str, size: int) -> dict[str, float]:
    """Returns the milliseconds of a picture on one core, and the megabytes, of a network."""
    contents = litert_export.to_litert(backbones.get(network).build(size).whole)
    run = Network(contents, workers=1)
    pictures = np.random.default_rng(0).integers(0, 256, (35, 1, size, size, 3), dtype=np.uint8)
    times = []
    for picture in pictures:
        started = time.perf_counter()
        run(picture)
        times.append(1000 * (time.perf_counter() - started))
    return {"ms": statistics.median(times[5:]), "MB": len(contents) / 1e6}


def accuracy(
    network: str, p: params.Params, data: datasets.TrainingData, seeds: int
) -> tuple[pd.DataFrame, float]:
    """Returns what heads on a network answer to the photos held out, and their mean log-loss."""
    settings = NetworkSettings.of(p.model.model_copy(update={"backbone": network}))
    train = TrainingSettings.of(p.train)
    fits = [trainer.fit(settings, replace(train, seed=seed), data) for seed in range(seeds)]
    losses = [fit.validation.log_loss for fit in fits]
    return pd.concat([fit.held_out for fit in fits]), statistics.mean(losses)


def measure(source: Path, networks: list[str], seeds: int) -> pd.DataFrame:
    """Returns a row a network, for a collection."""
    first, rows = None, []
    with tempfile.TemporaryDirectory() as folder:
        p, data = load(source.resolve(), Path(folder), [f"split.seed={SPLIT_SEED}"])
        for network in networks:
            held_out, log_loss = accuracy(network, p, data, seeds)
            first = held_out if first is None else first
            gain, error = paired_accuracy_gain(held_out, first)
            row = {"network": network, "accuracy": held_out["right"].mean(), "log-loss": log_loss}
            rows.append(row | {"gain": gain, "its error": error} | costs(network, p.resize.size))
    told = f"{first['photo'].nunique()} photos held out, {seeds} seeds"
    print(f"\n{source.name}: {told}, {os.cpu_count()} cores")
    table = pd.DataFrame(rows)
    print(table.round(4).to_string(index=False), flush=True)
    return table


def draw(tables: dict[str, pd.DataFrame], path: Path) -> None:
    """Draws accuracy against milliseconds, a line a collection, a dot a network."""
    with plot_style.figure(path, 7, 4) as axes:
        for name, table in tables.items():
            table = table.sort_values("ms")
            axes.errorbar(
                table["ms"], table["accuracy"], yerr=table["its error"], label=name, marker="o"
            )
        for row in table.itertuples():
            label = row.network.replace("efficientnet_lite", "Lite").replace("+", " and ")
            place = (row.ms, row.accuracy)
            axes.annotate(label, place, xytext=(0, 10), textcoords="offset points", ha="center")
        axes.margins(0.12)
        axes.set(xlabel="ms a picture, one core", ylabel="accuracy on photos held out")
        axes.legend(loc="center right")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", type=Path, help="photos, a folder a species")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds of the training")
    parser.add_argument("--picture", type=Path, help="a PNG to draw: accuracy against ms")
    arguments = parser.parse_args()
    tables = {
        source.name: measure(source, arguments.networks, arguments.seeds)
        for source in arguments.sources
    }
    if arguments.picture:
        draw(tables, arguments.picture)


if __name__ == "__main__":
    main()
