"""Several pretrained networks that look at the same picture: their features side by side.

Features that networks learned apart err apart, so a head on both is surer than on either. The
price is the sum of their times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError
from pipeline.networks.backbones.backbone import Backbone, towers

if TYPE_CHECKING:
    import keras


def side_by_side(members: Sequence[Backbone]) -> Backbone:
    """Concatenates backbones, called by their names with `+` between them.

    Each member is a layer of it, a model of its own. There is no block to unfreeze. The classifier
    is that of the last member.

    Raises:
        UserError: A member is twice among them, or has no pretrained weights.
    """
    names = [member.name for member in members]
    title = "+".join(names)
    if len(set(names)) < len(names):
        raise UserError(f"model.backbone is {title}; name each network once")
    if scratch := [member.name for member in members if member.load_weights is None]:
        raise UserError(
            f"model.backbone is {title}, but {scratch[0]} has no pretrained weights to stand "
            "beside others with; train it alone"
        )

    def network(size: int) -> keras.Model:
        import keras

        pixels = keras.Input((size, size, 3), name="pixels")
        features = [member.network(size)(pixels) for member in members]
        features = keras.layers.Concatenate(name="features")(features)
        return keras.Model(pixels, features, name="side_by_side")

    def load_weights(model: keras.Model, weights: str) -> None:
        if weights != "imagenet":
            raise UserError(
                f"model.weights is {weights}; {title} are several networks, which take "
                "`imagenet`; set model.backbone to the one that the file is of"
            )
        for member, tower in zip(members, towers(model), strict=True):
            if member.load_weights is not None:  # so it is; see above
                member.load_weights(tower, weights)

    return Backbone(
        name=title,
        size=max(member.size for member in members),
        network=network,
        load_weights=load_weights,
        at_hand=lambda: all(member.at_hand() for member in members),
        has_blocks=False,
        classifier=members[-1].classifier,
    )
