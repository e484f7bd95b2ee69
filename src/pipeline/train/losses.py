"""Judges the answers of a network while it trains."""

from typing import TYPE_CHECKING

from pipeline.core import params

if TYPE_CHECKING:
    import keras


def loss(train: params.Train) -> "keras.Loss":
    """Returns cross-entropy of logits with smoothed labels (Szegedy et al. 2016)."""
    import keras

    return keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=train.label_smoothing
    )
