"""Draws and weighs the pictures of a batch.

What chance decides here is a function of seed, epoch and number of the batch, so a training that
was killed and goes on sees what it would have seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.networks.quiet_keras import keras
from pipeline.train.settings import TrainingSettings

Alter = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Examples:
    """Inputs and their species.

    Attributes:
        inputs: Pictures or features, with `take(rows)`.
        targets: Positions of their species in the labels, int (n,).
        num_labels: How many species there are.
        fold: Of each input, int (n,): the head that does not train on it, and is validated by it.
            Defaults to None: there is one network, without an axis of heads.
    """

    inputs: Any
    targets: np.ndarray
    num_labels: int
    fold: np.ndarray | None = None


def weights(targets: np.ndarray, balance: str) -> np.ndarray:
    """Weighs each picture, float32 (n,), 1 on average; `weights` lets each species count alike."""
    if balance == "none":
        return np.ones(len(targets), dtype=np.float32)
    counts = np.bincount(targets)
    return (len(targets) / np.count_nonzero(counts) / counts[targets]).astype(np.float32)


class Batches(keras.utils.PyDataset):
    """Batches of inputs, targets and weights, by their number.

    With folds they are for as many heads side by side, whose logits are (n, heads, species).

    Args:
        examples: What batches are made of.
        steps: Batches an epoch.
    """

    num_batches = None  # no end, to Keras: it would begin to read anew in each epoch

    def __init__(self, examples: Examples, steps: int) -> None:
        super().__init__()
        self._examples: Any = examples  # `Examples`; None once they are released
        self._one_hot = np.eye(examples.num_labels, dtype=np.float32)
        self._num_heads = 1 if examples.fold is None else int(examples.fold.max()) + 1
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        return map(self.__getitem__, range(self._steps))

    def close(self) -> None:
        """Releases the inputs: TensorFlow never releases a data set."""
        self._examples = None


class TrainingBatches(Batches):
    """Batches to train on, drawn anew in each epoch, without end.

    Each head trains on all folds but its own.

    Args:
        examples: What to train on.
        train: Its seed, balance and batch size, which is rounded up to a multiple of
            `num_devices`.
        num_devices: How many share each batch alike: the last batch is filled up with pictures
            from the epoch's start. Defaults to 1.
        alter: Alters the inputs of a batch, given their rows, by chance. Defaults to None: nothing
            is altered.
        first_epoch: The epoch of batch 0, from 0. Defaults to 0.
    """

    def __init__(
        self,
        examples: Examples,
        train: TrainingSettings,
        num_devices: int = 1,
        alter: Alter | None = None,
        first_epoch: int = 0,
    ) -> None:
        count = len(examples.targets)
        self._length, self._size = (
            -(-number // num_devices) * num_devices for number in (count, train.batch_size)
        )
        super().__init__(examples, -(-self._length // self._size))
        self._train, self._alter, self._first_epoch = train, alter, first_epoch
        self._weights = weights(examples.targets, train.balance)
        self._rows = lru_cache(1)(self._rows_of_epoch)

    def _rows_of_epoch(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._train.seed, epoch])
        return np.resize(rng.permutation(len(self._examples.targets)), self._length)

    def __getitem__(self, number: int) -> Batch:
        epoch, number = divmod(self._first_epoch * self._steps + number, self._steps)
        rows = self._rows(epoch)[number * self._size : (number + 1) * self._size]
        examples = self._examples
        inputs, targets = examples.inputs.take(rows), self._one_hot[examples.targets[rows]]
        weight = self._weights[rows]
        if self._alter is not None:
            rng = np.random.default_rng([self._train.seed, epoch, 1 + number])  # 0: the order's
            inputs = self._alter(inputs, rows, rng)
        if examples.fold is None:
            return inputs, targets, weight
        heads = self._num_heads
        trains = examples.fold[rows][:, None] != np.arange(heads)
        share = trains * (heads / (heads - 1))
        weight = weight[:, None] * share.astype(np.float32)
        return inputs, np.repeat(targets[:, None], heads, axis=1), weight


class ValidationBatches(Batches):
    """Batches to validate by, in order and of one size.

    The last one is filled up with pictures of weight 0. Each head is validated by its own fold.

    Args:
        examples: What to validate by.
        batch_size: Pictures in a batch, at most.
    """

    def __init__(self, examples: Examples, batch_size: int) -> None:
        count = len(examples.targets)
        super().__init__(examples, -(-count // batch_size))
        self._size = -(-count // self._steps)
        self._rows = np.resize(np.arange(count), self._steps * self._size)

    def __getitem__(self, number: int) -> Batch:
        number %= self._steps
        rows = self._rows[number * self._size : (number + 1) * self._size]
        examples = self._examples
        count = len(examples.targets)
        inputs, targets = examples.inputs.take(rows), self._one_hot[examples.targets[rows]]
        weight = np.ones(len(rows), np.float32) * (len(self._rows) / count)
        weight[count - number * self._size :] = 0
        if examples.fold is None:
            return inputs, targets, weight
        heads = self._num_heads
        own = examples.fold[rows][:, None] == np.arange(heads)
        weight = weight[:, None] * (own * heads).astype(np.float32)
        return inputs, np.repeat(targets[:, None], heads, axis=1), weight
