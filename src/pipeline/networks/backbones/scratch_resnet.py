"""A small residual network that starts from random weights, made for a few thousand photos.

Four residual blocks (He et al. 2016, https://arxiv.org/abs/1512.03385), each half the height and
twice the channels of the one before, with what made ResNets learn faster since: shortcuts that
average before they project, so that no pixel is skipped (ResNet-D; He et al. 2019,
https://arxiv.org/abs/1812.01187), and blocks that start as their shortcuts, by a last scale of 0
(Goyal et al. 2017, https://arxiv.org/abs/1706.02677).

Large pictures are averaged down to 64 to 127 px first, those of 224 px to 74: in the minutes that a
CPU has, a network then sees each photo often enough to learn from it, if not sharply. Plain
convolutions, for depthwise ones are slow to train on a CPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.networks.backbones.backbone import Backbone

if TYPE_CHECKING:
    import keras

_SIDE = 64  # px that large pictures are averaged down to, at least
_FILTERS = (32, 64, 128, 256)


def network(size: int) -> keras.Model:
    """Builds it with random weights: pixels `(n, size, size, 3)` to features `(n, 256)`."""
    from keras import Input, Model, layers

    def convolve(x, filters, name, kernel=3, stride=1, scale="ones"):
        x = layers.Conv2D(
            filters,
            kernel,
            stride,
            padding="same",
            use_bias=False,  # batch normalisation would take it away again
            kernel_initializer="he_normal",
            name=f"{name}.conv",
        )(x)
        return layers.BatchNormalization(
            momentum=0.9,  # an epoch of so few photos has few steps to learn the statistics in
            gamma_initializer=scale,
            name=f"{name}.bn",
        )(x)

    def residual(x, filters, stride, name):
        shortcut = x
        if stride > 1:
            pool = layers.AveragePooling2D(stride, padding="same", name=f"{name}.shortcut.pool")
            shortcut = convolve(pool(shortcut), filters, f"{name}.shortcut", kernel=1)
        x = convolve(x, filters, f"{name}.0", stride=stride)
        x = layers.ReLU(name=f"{name}.0.relu")(x)
        x = convolve(x, filters, f"{name}.1", scale="zeros")
        x = layers.Add(name=f"{name}.add")([x, shortcut])
        return layers.ReLU(name=f"{name}.relu")(x)

    pixels = Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1, name="rescaling")(pixels)
    if (times := size // _SIDE) > 1:
        x = layers.AveragePooling2D(times, name="smaller")(x)
    x = convolve(x, _FILTERS[0], "stem", stride=2)
    x = layers.ReLU(name="stem.relu")(x)
    for index, filters in enumerate(_FILTERS):
        x = residual(x, filters, 2 if index else 1, f"blocks.{index}")
    return Model(pixels, layers.GlobalAveragePooling2D(name="pool")(x), name="scratch_resnet")


SCRATCH_RESNET = Backbone(name="scratch_resnet", size=224, network=network, has_blocks=False)
