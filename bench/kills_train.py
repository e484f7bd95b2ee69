"""Kills train and tune at random moments; the next run must end with the same weights and trials.

Each stage is killed with SIGKILL at moments drawn evenly over the time that an undisturbed run
takes: half of them with an empty cache, where it computes features first, half with features at
hand. Then it runs again. Of train, the weights of `models/trained/model.keras` are compared with an
undisturbed run's, array by array and bit by bit; of tune, those of `models/tuned/model.keras`, the
finished trials (params, state, accuracy, in order) and their number: none lost, none counted twice.
Two undisturbed runs, one with an empty cache, must agree first. MLflow runs that are left open
because their process was killed are counted.

    python bench/kills_train.py                       # ten kills a stage, some 8 minutes on 2 cores
    python bench/kills_train.py --kills 2 --photos 60 --stages train
"""

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import h5py
import kills
import numpy as np
import pandas as pd
from project import change

kills.STAGES |= {"train": ("models/trained",), "tune": ("models/tuned", "reports/tune")}
# One fine-tuned block, so that there are two phases, and epochs that last.
LINES = {
    "train.epochs": 6,
    "model.backbone": "efficientnet_lite2",
    "model.unfrozen_blocks": 1,
    "tune.trials": 4,
}
TRIALS = LINES["tune.trials"]


def prepare(project: Path, photos: int) -> None:
    kills.prepare(project, photos)
    change(project, [f"{name}={value}" for name, value in LINES.items()])
    for stage in ("ingest", "resize", "split", "augment"):
        kills.finish(project, stage)


def forget(project: Path, warm: bool) -> None:
    """Empties the cache, but for exported networks and features if it shall be warm."""
    for name in ("checkpoints", "studies") if warm else ("",):
        shutil.rmtree(project / ".cache" / name, ignore_errors=True)


def weights(project: Path, stage: str) -> dict[str, np.ndarray]:
    """Every array that Keras saved, by its place in the file."""
    found = {}

    def keep(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            found[name] = node[()]

    with zipfile.ZipFile(project / kills.STAGES[stage][0] / "model.keras") as archive:
        content = BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(keep)
    return found


def trials(project: Path) -> list[tuple]:
    table = pd.read_csv(project / "models/tuned/trials.csv")
    finished = table[table["state"].isin(["complete", "pruned"])]
    kept = finished.drop(columns=["trial", "seconds"]).fillna(-1)
    return list(kept.itertuples(index=False, name=None))


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[k], right[k]) for k in left)


def left_open(project: Path) -> int:
    with sqlite3.connect(project / "mlflow.db") as database:
        return database.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--photos", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="+", choices=["train", "tune"], default=["train", "tune"])
    arguments = parser.parse_args()
    moments, wrong = random.Random(arguments.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        prepare(project, arguments.photos)
        for stage in arguments.stages:
            usual, expected = {}, None
            for warm in (False, True):
                forget(project, warm)
                usual[warm] = kills.finish(project, stage)
                got = weights(project, stage)
                if expected is not None and not same(got, expected):
                    sys.exit(f"two undisturbed runs of {stage} differ")
                expected = got
            listed = trials(project) if stage == "tune" else None
            killed = equal = alike = counted = 0
            started, open_before = time.perf_counter(), left_open(project)
            for number in range(arguments.kills):
                warm = number % 2 == 1
                forget(project, warm)
                moment = moments.uniform(0, usual[warm])
                killed += kills.kill(project, stage, moment)
                kills.finish(project, stage)
                if same(weights(project, stage), expected):
                    equal += 1
                else:
                    cache = "warm" if warm else "empty"
                    print(f"{stage} killed after {moment:.1f} s, cache {cache}: other weights")
                if stage == "tune":
                    found = trials(project)
                    alike += found == listed
                    counted += len(found) == len(set(found)) == TRIALS
            wrong += arguments.kills - equal
            print(
                f"{stage:5s} {usual[False]:5.1f} s, {usual[True]:.1f} s with features at hand; "
                f"{killed} killed in {time.perf_counter() - started:.0f} s, "
                f"weights of {equal} of {arguments.kills} the same, "
                f"{left_open(project) - open_before} MLflow runs left open",
                flush=True,
            )
            if stage == "tune":
                wrong += 2 * arguments.kills - alike - counted
                print(f"      trials of {alike} the same, of {counted} none lost or twice")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
