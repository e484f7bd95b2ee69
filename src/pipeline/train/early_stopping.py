"""Stops a training that gets no better, and restores its best weights."""

from collections.abc import Iterable

import numpy as np

from pipeline.networks.quiet_keras import keras


class ValidatedEarlyStopping(keras.callbacks.EarlyStopping):
    """Validates after each epoch, and stops when the validation loss no longer falls.

    The logs of each epoch gain `val_loss` and `val_accuracy`, so this callback stands before all
    that read them. At the end of training the weights of the best epoch are restored.

    Args:
        batches: Batches of inputs, targets and weights to validate by.
        patience: How many epochs in a row may bring no lower loss.
    """

    def __init__(self, batches: Iterable[tuple], patience: int) -> None:
        super().__init__("val_loss", patience=patience, restore_best_weights=True)
        self._batches = batches

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Validates, and stops the training if it is time."""
        logs |= validate(self.model, self._batches)
        super().on_epoch_end(epoch, logs)


def validate(network: keras.Model, batches: Iterable[tuple]) -> dict[str, float]:
    """Computes a compiled network's `val_loss` and `val_accuracy`.

    Keras' `evaluate` prepares to read data each time, which takes longer than validating a head.

    Args:
        network: Compiled with a weighted metric `accuracy`.
        batches: Batches of inputs, targets and weights.
    """
    results, counts = [], []
    for inputs, targets, weights in batches:
        results.append(network.test_on_batch(inputs, targets, weights, return_dict=True))
        counts.append(np.asarray(weights).sum())
    losses, accuracies = ([result[name] for result in results] for name in ("loss", "accuracy"))
    return {
        "val_loss": float(np.mean(losses)),
        "val_accuracy": float(np.average(accuracies, weights=counts)),
    }
