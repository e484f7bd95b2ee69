"""A small convolutional network that starts from random weights.

For species that no pretrained network helps with, and as the measure of what one is worth. Sized
for a few thousand pictures of 96 to 224 px on two CPU cores: the stem halves the picture twice
before any wide convolution, so that every block after it costs about the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.networks.backbones.backbone import Backbone

if TYPE_CHECKING:
    import keras

_FILTERS = (32, 64, 128, 256)


def network(size: int) -> keras.Model:
    """Builds it with random weights: pixels `(n, size, size, 3)` to features `(n, 256)`."""
    from keras import Input, Model, layers

    pixels = Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescaling")(pixels)
    for index, filters in enumerate(_FILTERS):
        if index:
            x = layers.MaxPooling2D(name=f"blocks.{index}.pool")(x)
        x = layers.Conv2D(
            filters,
            3,
            strides=1 if index else 2,
            padding="same",
            use_bias=False,  # batch normalisation would take it away again
            kernel_initializer="he_normal",
            name=f"blocks.{index}.conv",
        )(x)
        x = layers.BatchNormalization(name=f"blocks.{index}.bn")(x)
        x = layers.ReLU(name=f"blocks.{index}.relu")(x)
    return Model(pixels, layers.GlobalAveragePooling2D(name="pool")(x), name="scratch_cnn")


SCRATCH_CNN = Backbone(name="scratch_cnn", size=96, network=network, has_blocks=False)
