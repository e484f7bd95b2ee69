"""Schedules the learning rate."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core import params

if TYPE_CHECKING:
    import keras


def rates(
    train: params.Train, peak: float, steps: int
) -> "keras.optimizers.schedules.LearningRateSchedule":
    """The learning rate at each step: a cosine from its peak (Loshchilov & Hutter 2017,
    https://arxiv.org/abs/1608.03983) after a linear warm-up from a tenth of it.

    It is a table: Keras' `CosineDecay` is traced anew for each use that an optimizer makes of it,
    a fifteenth of a short trial.

    Args:
        train: With `epochs` and `warm_up`.
        peak: The rate at its peak.
        steps: How many an epoch has.
    """
    import keras

    last, warm_up = train.epochs * steps, train.warm_up * steps
    step = np.arange(last + 1)
    rising = 0.1 + 0.9 * step / max(1, warm_up)
    past = np.clip((step - warm_up) / max(1, last - warm_up), 0, 1)
    falling = (1 + np.cos(np.pi * past)) / 2
    table = (peak * np.where(step < warm_up, rising, falling)).astype(np.float32)

    class Table(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return keras.ops.take(table, keras.ops.minimum(step, last))

    return Table()
