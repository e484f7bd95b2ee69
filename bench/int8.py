"""int8 beside float: accuracy, time of one picture and size, for what `dvc repro` left in a folder.

Accuracy is over all photos that the network has not learned from, validation and test together,
without calibration, which changes no label. Times are of one picture on one core, the two networks
in turn.

    dvc repro
    python bench/int8.py . /path/to/another/project
"""

import argparse
import importlib.metadata
import os
import platform
import time
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.dataset.shards import Shards
from pipeline.evaluate.predictions import photos_of, predict
from pipeline.export import precision
from pipeline.inference.litert import Network
from pipeline.predict import batch
from pipeline.train.metrics import positions


def measure(project: Path, pictures: int) -> pd.DataFrame:
    """Returns a row a precision; the one that is not served is made here."""
    final = project / "models/final"
    with chdir(project):
        networks = {
            name: precision.network(Path("models/final"), name) for name in ("float", "int8")
        }
    labels = batch.labels(final)
    resized = Shards(project / "data/resized")
    manifest = pd.read_parquet(project / "data/ingested/manifest.parquet")
    split = pd.read_parquet(project / "data/split.parquet")
    held = pd.concat(
        photos_of(name, resized.index, manifest, split) for name in ("validation", "test")
    )
    targets = positions(held["species"], labels)
    rows = {}
    one_core = {name: Network(contents, workers=1) for name, contents in networks.items()}
    seconds = {name: [] for name in networks}
    for picture in resized.take(held.index[:pictures]):
        for name, network in one_core.items():
            started = time.perf_counter()
            network.one(picture)
            seconds[name].append(time.perf_counter() - started)
    for name, contents in networks.items():
        answers = predict(contents, resized, held, f"held-out pictures in {name}")
        rows[name] = {
            "photos": len(held),
            "accuracy": (answers.argmax(axis=1) == targets).mean(),
            "ms": 1e3 * np.median(seconds[name][10:]),
            "MB": len(contents) / 1e6,
        }
    table = pd.DataFrame(rows).T
    table["of float's ms"] = table["ms"] / table.loc["float", "ms"]
    table["of float's MB"] = table["MB"] / table.loc["float", "MB"]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("projects", nargs="*", type=Path, default=[Path()])
    parser.add_argument("--pictures", type=int, default=200, help="to time")
    arguments = parser.parse_args()
    litert = importlib.metadata.version("ai-edge-litert")
    print(f"{os.cpu_count()} cores, {platform.machine()}, ai-edge-litert {litert}, times: medians")
    for project in arguments.projects:
        print(f"\n{project.resolve().name}:")
        print(measure(project, arguments.pictures).round(4).to_string())


if __name__ == "__main__":
    main()
