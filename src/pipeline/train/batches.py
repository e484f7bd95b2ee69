"""Draws, mixes and weighs the pictures of a batch.

What chance decides here is a function of seed, epoch and number of the batch, so a training that
was killed and goes on sees what it would have seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.networks import keras_setup
from pipeline.train.settings import TrainingSettings

if TYPE_CHECKING:
    import keras
else:
    keras = keras_setup.keras()

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


def order(targets: np.ndarray, balance: str, seed: int, epoch: int) -> np.ndarray:
    """Draws the order in which an epoch shows pictures.

    Args:
        targets: Each picture's species, int (n,).
        balance: With `sampling`, pictures are drawn with replacement and each species as often as
            any other; else each picture is shown once.
        seed: Of the training.
        epoch: From 0.

    Returns:
        Positions in `targets`, int (n,).
    """
    rng = np.random.default_rng([seed, epoch])
    if balance == "sampling":
        frequency = inverse_class_frequency(targets)
        return rng.choice(len(targets), len(targets), p=frequency / frequency.sum())
    return rng.permutation(len(targets))


def weights(targets: np.ndarray, balance: str) -> np.ndarray:
    """Weighs each picture, float32 (n,), 1 on average; `weights` lets each species count alike."""
    if balance == "weights":
        return inverse_class_frequency(targets).astype(np.float32)
    return np.ones(len(targets), dtype=np.float32)


def inverse_class_frequency(targets: np.ndarray) -> np.ndarray:
    """Returns for each picture a weight that falls with the count of its species, 1 on average."""
    counts = np.bincount(targets)
    return len(targets) / np.count_nonzero(counts) / counts[targets]


def mix(
    pictures: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    alpha: float,
    rng: np.random.Generator,
    fold: np.ndarray | None = None,
) -> Batch:
    """Mixes each picture of a batch with another one, and their targets by the same shares.

    By mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412) a picture, or its features, is a
    weighted mean of two.

    Args:
        pictures: (n, ...).
        targets: Shares of species, (n, species).
        weights: How much each counts, (n,).
        alpha: Of the Beta distribution that shares are drawn from; 0 mixes nothing.
        rng: What chance decides.
        fold: Of each picture, (n,): it is mixed with one of the same. Defaults to None: with any.

    Returns:
        Pictures, targets and weights, mixed; pictures as float32 unless `alpha` is 0.
    """
    if not alpha:
        return pictures, targets, weights
    pictures = pictures.astype(np.float32)
    other = rng.permutation(len(pictures))
    if fold is not None:
        within = np.empty_like(other)
        within[np.argsort(fold, kind="stable")] = other[np.argsort(fold[other], kind="stable")]
        other = within
    share = rng.beta(alpha, alpha, len(pictures)).astype(np.float32)
    by = share.reshape(-1, *[1] * (pictures.ndim - 1))
    pictures = by * pictures + (1 - by) * pictures[other]
    mine, others = share * weights, (1 - share) * weights[other]
    both = mine + others
    targets = (mine[:, None] * targets + others[:, None] * targets[other]) / both[:, None]
    return pictures, targets, both


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
        train: Its seed, balance, mixup and batch size, which is rounded up to a multiple of
            `num_devices`.
        num_devices: How many share each batch alike: the last batch is filled up with pictures
            from the epoch's start. Defaults to 1.
        alter: Alters the inputs of a batch, given their rows, by chance, before they are mixed.
            Defaults to None: nothing is altered.
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
        drawn = order(self._examples.targets, self._train.balance, self._train.seed, epoch)
        return np.resize(drawn, self._length)

    def __getitem__(self, number: int) -> Batch:
        epoch, number = divmod(self._first_epoch * self._steps + number, self._steps)
        rows = self._rows(epoch)[number * self._size : (number + 1) * self._size]
        rng = np.random.default_rng([self._train.seed, epoch, 1 + number])  # 0: `order`'s
        examples = self._examples
        inputs, targets = examples.inputs.take(rows), self._one_hot[examples.targets[rows]]
        weight = self._weights[rows]
        fold = None if examples.fold is None else examples.fold[rows]
        if self._alter is not None:
            inputs = self._alter(inputs, rows, rng)
        inputs, targets, weight = mix(inputs, targets, weight, self._train.mixup, rng, fold)
        if fold is None:
            return inputs, targets, weight
        heads = self._num_heads
        trains = fold[:, None] != np.arange(heads)
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
