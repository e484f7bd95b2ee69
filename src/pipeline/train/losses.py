"""The loss of a network while it trains."""

from typing import TYPE_CHECKING

from pipeline.networks import keras_setup

if TYPE_CHECKING:
    import keras
else:
    keras = keras_setup.keras()


def cross_entropy(label_smoothing: float) -> keras.Loss:
    """Returns cross-entropy of logits with smoothed labels (Szegedy et al. 2016).

    Args:
        label_smoothing: Share of each label that is spread over all species, 0 to below 1.
    """
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)
