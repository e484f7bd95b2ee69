"""Accuracy and time of the whole pipeline on real photos, group-aware, over several split seeds.

Runs `dvc repro -f` in a copy of the project, with nothing cached, for each collection and split
seed, and prints test scores, seconds a stage and peak memory of the largest process. `worsened` are
the copies of some test photos that evaluate makes; the calibration error is that at strength 3.
`default` is the test accuracy of what train made of the params as they stand, `tuned` that of what
tune found.

    python bench/accuracy.py /path/to/photos /path/to/others --seeds 0 1 2
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from project import prepare

from pipeline.dataset import shards
from pipeline.networks import keras_setup
from pipeline.train.metrics import Score

if TYPE_CHECKING:
    import keras

STAGES = ("ingest", "resize", "split", "augment", "train", "tune", "evaluate", "register")


def run(source: Path, seed: int, folder: Path, changes: list[str]) -> dict:
    """One run of the pipeline in an empty copy of the project."""
    environment = prepare(source, folder, [f"split.seed={seed}", *changes])
    started, starts = time.monotonic(), {}
    process = subprocess.Popen(
        ["dvc", "repro", "-f"],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed = []
    for line in process.stdout:
        printed.append(line)
        if found := re.match(r"Running stage '(\w+)'", line):
            starts[found[1]] = time.monotonic()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("".join(printed))
    ends = [*list(starts.values())[1:], time.monotonic()]
    seconds = {name: end - starts[name] for name, end in zip(starts, ends, strict=True)}
    lasted = time.monotonic() - started
    metrics = json.loads((folder / "reports/metrics.json").read_text())
    default, tuned = (tested(folder, name).accuracy for name in ("trained", "tuned"))
    return {
        "collection": source.name,
        "seed": seed,
        "accuracy": metrics["test"]["accuracy"],
        "macro_f1": metrics["test"]["macro_f1"],
        "log_loss": metrics["test"]["log_loss"],
        "calibration_error": metrics["test"]["calibration_error"],
        "worsened_accuracy": metrics["robustness"]["accuracy"],
        "worsened_calibration_error": metrics["robustness"]["calibration_error"],
        "validation": metrics["validation"]["accuracy"],
        "photos": metrics["test"]["photos"],
        "chosen": metrics["chosen"],
        "default": default,
        "tuned": tuned,
        "gained": tuned - default,
        "seconds": lasted,
        **{name: seconds[name] for name in STAGES},
        "peak_gb": usage.ru_maxrss / 2**20,
    }


def tested(folder: Path, name: str) -> Score:
    """What one of `models/` scores on the test split."""
    return score(
        keras_setup.keras().models.load_model(folder / "models" / name / "model.keras"), folder
    )


def score(model: "keras.Model", folder: Path) -> Score:
    """What a recogniser scores there."""
    resized = shards.Shards(folder / "data/resized")
    split = pd.read_parquet(folder / "data/split.parquet").set_index("photo")["split"]
    positions = np.flatnonzero(resized.index["photo"].map(split) == "test")
    species = resized.index["species"].iloc[positions]
    targets = species.map(sorted(resized.index["species"].unique()).index).to_numpy()
    return Score.of(model.predict(resized.take(positions), verbose=0), targets)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sources", nargs="+", type=Path, help="collections of photos")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="split seeds")
    parser.add_argument("--set", nargs="*", default=[], help="params to change: train.epochs=5")
    arguments = parser.parse_args()
    rows = []
    for source in arguments.sources:
        for seed in arguments.seeds:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(run(source.resolve(), seed, Path(folder), arguments.set))
            print(pd.DataFrame(rows[-1:]).round(4).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    first, last = table.columns.get_loc("accuracy"), table.columns.get_loc("seconds")
    shown = table.groupby("collection")[list(table.columns[first : last + 1].drop("chosen"))]
    print(f"\n{os.cpu_count()} cores, {len(arguments.seeds)} seeds, mean and standard error:")
    print(shown.agg(["mean", "sem"]).round(4).to_string())


if __name__ == "__main__":
    main()
