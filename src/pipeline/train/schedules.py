"""Schedules the learning rate."""

from pipeline.networks.quiet_keras import keras


def warm_up_cosine(
    peak: float, num_steps: int, warm_up_steps: int
) -> keras.optimizers.schedules.CosineDecay:
    """Returns a linear warm-up from a tenth of the peak, then a cosine to 0.

    Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983.

    Args:
        peak: The rate at its peak.
        num_steps: Steps of the whole training; the rate stays 0 afterwards.
        warm_up_steps: Steps of the warm-up; 0 starts at the peak.
    """
    decay_steps = max(1, num_steps - warm_up_steps)
    if not warm_up_steps:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps)
    return keras.optimizers.schedules.CosineDecay(
        0.1 * peak, decay_steps, warmup_target=peak, warmup_steps=warm_up_steps
    )
