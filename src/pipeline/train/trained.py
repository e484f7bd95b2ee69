"""Holds a trained recogniser, and writes it down."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from pipeline.core import atomic
from pipeline.networks.quiet_keras import keras
from pipeline.train import held_out
from pipeline.train.metrics import Score
from pipeline.train.settings import NetworkSettings, TrainingSettings


@dataclass(frozen=True)
class Trained:
    """A trained recogniser.

    Attributes:
        model: From RGB pixels in 0 to 255, (n, size, size, 3), to probabilities, (n, species).
        labels: The species, in the order of the probabilities.
        history: A row an epoch: phase, epoch, batch_size, loss, accuracy, val_loss, val_accuracy,
            learning_rate, pictures_per_second, seconds.
        validation: Score on the pictures held out: those of the validation split, or with folds
            also those of the training split, each by the head that did not train on it.
        held_out: The pictures held out, as `held_out.table` describes them.
        stopped: Why training ended, as a sentence.
        network: What it was built from.
        training: What it was trained with; `batch_size` is the one that memory sufficed for.
        seconds: How long that took, features and all.
        feature_seconds: How many of them went to features, computed or read.
        cached: How many features did not have to be computed, as a sentence.
    """

    model: keras.Model
    labels: tuple[str, ...]
    history: pd.DataFrame
    validation: Score
    held_out: pd.DataFrame
    stopped: str
    network: NetworkSettings
    training: TrainingSettings
    seconds: float
    feature_seconds: float
    cached: str

    def __str__(self) -> str:
        validation, seconds = f"validation {self.validation}", f"{self.seconds:.0f} s"
        return "; ".join((self.stopped, validation, seconds, self.cached))

    def epochs(self) -> list[dict[str, float]]:
        """Returns the metrics of each epoch, by name."""
        described = ["phase", "epoch", "batch_size"]
        return self.history.drop(columns=described).to_dict("records")

    def save(self, folder: Path, run_id: str, more: dict[str, str] | None = None) -> None:
        """Writes `model.keras`, `history.csv`, `held_out.parquet` and `run.json`.

        Args:
            folder: Where; it appears whole.
            run_id: The MLflow run that trained it.
            more: Contents of further text files, by name. Defaults to none.
        """
        run = {
            "run_id": run_id,
            "labels": self.labels,
            "validation": asdict(self.validation),
            "model": asdict(self.network),
            "train": asdict(self.training),
            "stopped": self.stopped,
        }
        with atomic.atomic_write(folder) as partial:
            partial.mkdir()
            self.model.save(partial / "model.keras")
            self.history.to_csv(partial / "history.csv", index=False)
            atomic.write_table(self.held_out, partial / held_out.FILE)
            (partial / "run.json").write_text(json.dumps(run, indent=2) + "\n")
            for name, text in (more or {}).items():
                (partial / name).write_text(text)
