"""Stops a training that gets no better, and keeps its best weights."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras


def stopping(checks: Iterable[tuple], patience: int) -> "keras.callbacks.EarlyStopping":
    """Judges each epoch, which gains val_loss and val_accuracy, keeps the best weights and stops.

    Args:
        checks: What to judge by: batches as `batches` gives them without `train`.
        patience: How many epochs may bring no lower loss.

    Returns:
        A callback, to stand before all that want to know of val_loss.
    """
    import keras

    class Stopping(keras.callbacks.EarlyStopping):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            logs |= judge(self.model, checks)
            super().on_epoch_end(epoch, logs)

    return Stopping("val_loss", patience=patience, restore_best_weights=True)


def judge(network: "keras.Model", checks: Iterable[tuple]) -> dict[str, float]:
    """A compiled network's val_loss and val_accuracy.

    Keras' `evaluate` makes ready to read data each time, which takes longer than judging a head.

    Args:
        network: Compiled with a weighted metric `accuracy`.
        checks: As for `stopping`.
    """
    said, counts = [], []
    for inputs, targets, weights in checks:
        said.append(network.test_on_batch(inputs, targets, weights, return_dict=True))
        counts.append(np.asarray(weights).sum())
    return {
        "val_loss": float(np.mean([each["loss"] for each in said])),
        "val_accuracy": float(np.average([each["accuracy"] for each in said], weights=counts)),
    }
