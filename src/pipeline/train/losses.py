"""Judges the answers of a network while it trains."""

from typing import TYPE_CHECKING

from pipeline.core import params

if TYPE_CHECKING:
    import keras


def loss(train: params.Train) -> "keras.Loss":
    """How answers (logits) are judged.

    Cross-entropy with smoothed labels (Szegedy et al. 2016), or, if `train.focal` is above 0,
    the focal loss with that gamma (Lin et al. 2017, https://arxiv.org/abs/1708.02002).
    """
    import keras

    about = {"from_logits": True, "label_smoothing": train.label_smoothing}
    if train.focal:
        return keras.losses.CategoricalFocalCrossentropy(1.0, train.focal, **about)
    return keras.losses.CategoricalCrossentropy(**about)
