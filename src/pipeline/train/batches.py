"""Draws, mixes and weighs the pictures of a batch.

What chance decides here is a function of seed, epoch and number of the batch, so a training that
was killed and goes on sees what it would have seen.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core import params

if TYPE_CHECKING:
    import keras


def order(targets: np.ndarray, train: params.Train, epoch: int) -> np.ndarray:
    """Which pictures an epoch shows, one after the other.

    Args:
        targets: Each picture's species, int (n,).
        train: With `seed` and `balance`: by `sampling`, pictures are drawn with replacement and
            each species as often as any other; else each picture is shown once.
        epoch: From 0.

    Returns:
        Positions in `targets`, int (n,).
    """
    rng = np.random.default_rng([train.seed, epoch])
    if train.balance == "sampling":
        rarity = _rarity(targets)
        return rng.choice(len(targets), len(targets), p=rarity / rarity.sum())
    return rng.permutation(len(targets))


def weights(targets: np.ndarray, train: params.Train) -> np.ndarray:
    """How much each picture counts, float32 (n,), 1 on average; `train.balance` may even species
    out."""
    if train.balance == "weights":
        return _rarity(targets).astype(np.float32)
    return np.ones(len(targets), dtype=np.float32)


def _rarity(targets: np.ndarray) -> np.ndarray:
    counts = np.bincount(targets)
    return len(targets) / np.count_nonzero(counts) / counts[targets]


def mix(
    pictures: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    train: params.Train,
    rng: np.random.Generator,
    fold: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mixes each picture of a batch with another one, and their targets by the same shares.

    By mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412) a picture, or its features, is a
    weighted mean of two.

    Args:
        pictures: (n, ...).
        targets: Shares of species, (n, species).
        weights: How much each counts, (n,).
        train: With `mixup`, the alpha of a Beta distribution; 0 is never.
        rng: What chance decides.
        fold: Of each picture, (n,): it is mixed with one of the same. Defaults to None: with any.

    Returns:
        The same three, mixed; pictures as float32 if `train` has mixup.
    """
    if not train.mixup:
        return pictures, targets, weights
    pictures = pictures.astype(np.float32)
    other = rng.permutation(len(pictures))
    if fold is not None:
        places = np.empty_like(other)
        places[np.argsort(fold, kind="stable")] = other[np.argsort(fold[other], kind="stable")]
        other = places
    share = rng.beta(train.mixup, train.mixup, len(pictures)).astype(np.float32)
    by = share.reshape(-1, *[1] * (pictures.ndim - 1))
    pictures = by * pictures + (1 - by) * pictures[other]
    mine, others = share * weights, (1 - share) * weights[other]
    both = mine + others
    targets = (mine[:, None] * targets + others[:, None] * targets[other]) / both[:, None]
    return pictures, targets, both


def batches(
    inputs: Any,
    targets: np.ndarray,
    labels: int,
    size: int,
    devices: int = 1,
    train: params.Train | None = None,
    alter: Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray] | None = None,
    fold: np.ndarray | None = None,
    first: int = 0,
) -> "keras.utils.PyDataset":
    """Batches of inputs, targets and weights.

    With folds they are for as many heads side by side, whose answers are (n, heads, species):
    what one head learns from, the others are judged by.

    Args:
        inputs: With `take(rows)`.
        targets: Each input's species, int (n,).
        labels: How many species there are.
        size: Of a batch; rounded up to a multiple of `devices`.
        devices: How many share each batch alike: the last one is filled up with pictures from the
            epoch's start. Defaults to 1.
        train: How to draw and mix. Defaults to None: all as they stand, to be judged, in batches of
            one size, at most `size`: the last one is filled up with pictures that count nothing.
        alter: What to do with the inputs of a batch, given their rows, by chance, before they are
            mixed. Defaults to None: nothing.
        fold: Of each input, int (n,): the head that does not learn from it, and is judged by it.
            Defaults to None: there is one network, without an axis of heads.
        first: The epoch that comes first, from 0. Defaults to 0.

    Returns:
        A data set without end, of `len()` batches an epoch; to iterate over it gives the first one.
        With `close()` for when all is done: TensorFlow never lets go of a data set, and so not of
        its inputs.
    """
    import keras

    one_hot = np.eye(labels, dtype=np.float32)
    counts = np.ones(len(targets), np.float32) if train is None else weights(targets, train)
    length, size = (-(-number // devices) * devices for number in (len(targets), size))
    steps = -(-length // size)
    if train is None:
        size = -(-length // steps)
        length = steps * size
    heads = 1 if fold is None else fold.max() + 1

    @lru_cache(1)
    def shown(epoch: int) -> np.ndarray:
        rows = np.arange(len(targets)) if train is None else order(targets, train, epoch)
        return np.resize(rows, length)

    class Batches(keras.utils.PyDataset):
        num_batches = None  # no end, to Keras: it would begin to read anew in each epoch

        def __init__(self, inputs: Any) -> None:
            super().__init__()
            self._inputs = inputs

        def close(self) -> None:
            self._inputs = None

        def __len__(self) -> int:
            return steps

        def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            return map(self.__getitem__, range(steps))

        def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            epoch, number = divmod(first * steps + number, steps)
            rows = shown(epoch)[number * size : (number + 1) * size]
            taken, wanted, weight = self._inputs.take(rows), one_hot[targets[rows]], counts[rows]
            here = None if fold is None else fold[rows]
            if train is None:
                weight = weight * (length / len(targets))
                weight[len(targets) - number * size :] = 0
            else:
                rng = np.random.default_rng([train.seed, epoch, 1 + number])  # 0: `order`'s
                if alter is not None:
                    taken = alter(taken, rows, rng)
                taken, wanted, weight = mix(taken, wanted, weight, train, rng, here)
            if here is None:
                return taken, wanted, weight
            judged = here[:, None] == np.arange(heads)
            share = judged * heads if train is None else ~judged * (heads / (heads - 1))
            weight = weight[:, None] * share.astype(np.float32)
            return taken, np.repeat(wanted[:, None], heads, axis=1), weight

    return Batches(inputs)
