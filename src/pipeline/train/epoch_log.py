"""Records the epochs of a training."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.progress import Progress
from pipeline.networks.quiet_keras import keras

OnEpoch = Callable[[int, dict[str, float]], None]


class TrainingInfeasible(UserError):
    """With these params nothing can be trained on this machine."""


class TrainingDiverged(TrainingInfeasible):
    """The loss became NaN or infinite."""


@dataclass(frozen=True)
class Epochs:
    """The epochs of a phase.

    Attributes:
        phase: Name of the part of the training.
        first: The number in the history of the first epoch of the phase.
        pictures: How many an epoch has.
        batch_size: Pictures in a batch.
        steps_at_once: Steps between two calls, for the progress line.
    """

    phase: str
    first: int
    pictures: int
    batch_size: int
    steps_at_once: int


class EpochLog(keras.callbacks.Callback):
    """Adds a row an epoch to a history, shows progress, and stops when time is up.

    It stands after early stopping, which gives it `val_loss` and `val_accuracy`.

    Args:
        history: Rows of earlier epochs, which grows.
        epochs: What is recorded.
        progress: The line to show.
        on_epoch: Called after each epoch with its number in the history, from 0, and its metrics.
        deadline: By `time.monotonic`: training stops after the epoch in which it is.

    Attributes:
        epoch_start_weights: Weights of the model when the last epoch began.
    """

    def __init__(
        self,
        history: list[dict],
        epochs: Epochs,
        progress: Progress,
        on_epoch: OnEpoch,
        deadline: float,
    ) -> None:
        super().__init__()
        self._history, self._epochs = history, epochs
        self._progress, self._on_epoch, self._deadline = progress, on_epoch, deadline
        self._started = time.monotonic() - self._seconds_before()
        self.epoch_start_weights: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Copies the weights, to go on from if memory ends within the epoch."""
        self.epoch_start_weights = self.model.get_weights()

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Moves the progress bar."""
        left = self._epochs.pictures - batch * self._epochs.batch_size
        size = self._epochs.batch_size * self._epochs.steps_at_once
        self._progress.advance(min(size, left))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds a row to the history, and stops the training at its deadline.

        Raises:
            TrainingDiverged: The loss became NaN or infinite.
        """
        optimizer = self.model.optimizer
        if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
            raise TrainingDiverged(
                f"the loss became NaN or infinite: {logs['loss']} in epoch {epoch + 1}, "
                f"{logs['val_loss']} on validation; lower train.learning_rate"
            )
        metrics = {name: float(value) for name, value in logs.items()}
        metrics["learning_rate"] = float(np.asarray(optimizer.learning_rate))
        metrics["seconds"] = round(time.monotonic() - self._started, 3)
        lasted = max(1e-3, metrics["seconds"] - self._seconds_before())
        metrics["pictures_per_second"] = round(self._epochs.pictures / lasted, 1)
        number = self._epochs.first + epoch
        row = {"phase": self._epochs.phase, "epoch": number, "batch_size": self._epochs.batch_size}
        self._history.append(row | metrics)
        accuracies = f"accuracy {logs['accuracy']:.4f}, validation {logs['val_accuracy']:.4f}"
        self._progress.message = (
            f"epoch {epoch + 1}/{self.params['epochs']}, loss {logs['loss']:.4f}, {accuracies}"
        )
        self._on_epoch(number, metrics)
        if time.monotonic() > self._deadline:
            self.model.stop_training = True

    def _seconds_before(self) -> float:
        return self._history[-1]["seconds"] if self._history else 0.0
