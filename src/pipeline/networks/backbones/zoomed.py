"""A network that looks more than once: at the picture, and closer at its middle.

A closer look sees as much of the picture as its middle has, as large as the whole. What all looks
say is averaged, so a head on it has no more weights, and an animal is seen at more than one size.
The price is a forward pass for each look; as int8, which LiteRT measures look by look, the weights
are there for each as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError
from pipeline.networks.backbones.backbone import Backbone, towers

if TYPE_CHECKING:
    import keras

_MOST = 4.0  # times as large; beyond, a look sees a blur of a sixteenth of the picture


def closer(backbone: Backbone, zooms: Sequence[str]) -> Backbone:
    """A backbone that also looks closer, called by its name with `@` before each zoom.

    It is one network that is asked more than once. There is no block to unfreeze.

    Args:
        backbone: What looks; a pretrained one.
        zooms: How many times as large the middle is seen in each further look, above 1 and at
            most 4, as the name has them: `1.3`.

    Raises:
        UserError: A zoom is no such number, or the backbone has no pretrained weights.
    """
    title = "@".join([backbone.name, *zooms])
    if backbone.load_weights is None:
        raise UserError(
            f"model.backbone is {title}, but {backbone.name} has no pretrained weights; "
            "train it without looking closer"
        )
    factors = [_factor(title, zoom) for zoom in zooms]

    def network(size: int) -> keras.Model:
        import keras

        pixels = keras.Input((size, size, 3), name="pixels")
        look = backbone.network(size)
        looks = [look(pixels)]
        for factor in factors:
            side = round(size / factor)
            middle = keras.layers.CenterCrop(side, side, name=f"middle_{side}")(pixels)
            larger = keras.layers.Resizing(size, size, name=f"larger_{side}")(middle)
            looks.append(look(larger))
        features = keras.layers.Average(name="features")(looks)
        return keras.Model(pixels, features, name=title.replace("@", "_at_"))

    def load_weights(model: keras.Model, weights: str) -> None:
        backbone.load_weights(towers(model)[0], weights)

    return Backbone(
        name=title,
        size=backbone.size,
        network=network,
        load_weights=load_weights,
        at_hand=backbone.at_hand,
        has_blocks=False,
    )


def _factor(title: str, zoom: str) -> float:
    try:
        factor = float(zoom)
    except ValueError:
        factor = 0.0
    if not 1 < factor <= _MOST:
        raise UserError(
            f"model.backbone is {title}; behind an @ stands how many times as large the middle is "
            f"seen, above 1 and at most {_MOST:g}"
        )
    return factor
