"""Schedules the learning rate."""

from typing import Any

import numpy as np

from pipeline.networks import keras_setup

keras = keras_setup.keras()


class WarmUpCosine(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up from a tenth of the peak, then a cosine to 0 (Loshchilov & Hutter 2017,
    https://arxiv.org/abs/1608.03983).

    The rates are those of Keras' `CosineDecay`, as a table: MEASURED

    Args:
        peak: The rate at its peak.
        num_steps: Steps of the whole training; the rate stays 0 afterwards.
        warm_up_steps: Steps of the warm-up; 0 starts at the peak.
    """

    def __init__(self, peak: float, num_steps: int, warm_up_steps: int) -> None:
        super().__init__()
        step = np.arange(num_steps + 1)
        rising = 0.1 + 0.9 * step / max(1, warm_up_steps)
        past = np.clip((step - warm_up_steps) / max(1, num_steps - warm_up_steps), 0, 1)
        falling = (1 + np.cos(np.pi * past)) / 2
        self._last = num_steps
        self._table = (peak * np.where(step < warm_up_steps, rising, falling)).astype(np.float32)

    def __call__(self, step: Any) -> Any:
        return keras.ops.take(self._table, keras.ops.minimum(step, self._last))
