"""What a search loses by ending early: `tune.stop_below` against all trials.

Searches the whole space in a project whose stage augment is done (features are cached, so the first
search takes longer), once for each seed of training and search, with all of `tune.trials` and no
limit of time. Then goes through the trials and prints for several values of `tune.stop_below` after
how many trials the search would have ended, what share of the seconds that took, and which trial
would be served (the first one, the params as they stand, unless another one gains beyond chance)
beside the one that all trials serve, and what the latter gains more.

    python bench/stopping.py /path/to/project /path/to/another --seeds 0 1
"""

import argparse
import os
import tempfile
from pathlib import Path

import optuna
import pandas as pd

from pipeline.augment import transforms
from pipeline.core import params, tracking
from pipeline.train import datasets
from pipeline.train.metrics import BEYOND_CHANCE
from pipeline.tune import search, stopping, study

BELOW = (0.01, 0.05, 0.1, 0.2)


def searched(seed: int) -> list[optuna.trial.FrozenTrial]:
    """Runs all trials in the project that is the current folder."""
    p = params.load()
    every = {"tune.time_budget": 600.0, "tune.stop_below": 0.0, "tune.storage": "local"}
    p = params.replaced(p, every | {"tune.seed": seed, "train.seed": seed})
    data = datasets.TrainingData.load(
        Path("data/augmented"),
        Path("data/resized"),
        Path("data/split.parquet"),
        Path(".cache"),
        transforms.Ranges.of(p.augment),
    )
    with tempfile.TemporaryDirectory() as folder, tracking.run("tune"):
        opened = study.open_study(p, data.digest(), Path(folder))
        search.search(opened, p, data)
        return opened.get_trials(states=(study.State.COMPLETE, study.State.PRUNED))


def served(trials: list[optuna.trial.FrozenTrial]) -> tuple[int, float]:
    """Gives the number of the trial that would be served, and its gain over the first one."""
    complete = [trial for trial in trials if trial.state == study.State.COMPLETE]
    best = max(complete, key=lambda trial: (trial.value, -trial.user_attrs["log_loss"]))
    gain, error = (best.user_attrs.get(key, 0.0) for key in (stopping.GAIN, stopping.GAIN_ERROR))
    return (best.number, gain) if gain > BEYOND_CHANCE * error else (0, 0.0)


def ended(trials: list[optuna.trial.FrozenTrial], below: float) -> int:
    """Gives the number of trials after which a search would have ended."""
    for done in range(1, len(trials)):
        if stopping.chance_of_change(trials[:done], len(trials) - done) < below:
            return done
    return len(trials)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("projects", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    arguments = parser.parse_args()
    projects, rows = [project.resolve() for project in arguments.projects], []
    for project in projects:
        os.chdir(project)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
            for seed in arguments.seeds:
                trials = searched(seed)
                seconds = [trial.duration.total_seconds() for trial in trials]
                whole, most = served(trials)
                for below in BELOW:
                    done = ended(trials, below)
                    number, gain = served(trials[:done])
                    rows.append(
                        {
                            "project": project.name,
                            "seed": seed,
                            "stop_below": below,
                            "trials": f"{done} of {len(trials)}",
                            "seconds": sum(seconds[:done]) / sum(seconds),
                            "serves": number,
                            "all serve": whole,
                            "which gains": most - gain,
                        }
                    )
                print(pd.DataFrame(rows[-len(BELOW) :]).round(4).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
