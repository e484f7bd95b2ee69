"""What every backbone has in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.errors import UserError

if TYPE_CHECKING:
    import keras


class Parts(NamedTuple):
    """A network, and the two models it is the sum of. All three share their layers.

    So once `trainable` is trained, so is `whole`, and a head on `whole.output` makes the
    classifier from pixels to logits.

    Args:
        whole: RGB pixels in 0..255, uint8 or float32 `(n, size, size, 3)`, to pooled features,
            float32 `(n, channels)`. Preprocessing is inside. The last layer is the global average
            pooling: the feature map `(n, height, width, channels)` is `whole.layers[-1].input`.
        frozen: from pixels to the activations where training starts. `None` if all is trained.
        trainable: from those activations to the pooled features. `None` if nothing is trained.
    """

    whole: keras.Model
    frozen: keras.Model | None
    trainable: keras.Model | None


@dataclass(frozen=True)
class Backbone:
    """A network that turns pixels into features for a classification head.

    Args:
        name: what `params.yaml` calls it.
        network: takes a picture size and returns the network with random weights, as `Parts.whole`
            describes it.
        load_weights: gives that network its pretrained weights. `None` (default) if it has none.
        blocks: the first layer of each block that can be unfrozen, in the order pixels pass them.
            Only one tensor may enter a block.
    """

    name: str
    network: Callable[[int], keras.Model]
    load_weights: Callable[[keras.Model], None] | None = None
    blocks: tuple[str, ...] = ()

    def build(self, size: int, *, pretrained: bool = True, unfrozen_blocks: int = 0) -> Parts:
        """Builds the network and splits it into what stays as it is and what is trained.

        A network that starts from random weights is trained as a whole, whatever
        `unfrozen_blocks` says. Layers of the frozen part get `trainable=False`. So does batch
        normalisation in the trainable part of a pretrained network: statistics of a million
        pictures are better than those of a small batch.

        Args:
            size: height and width of the pictures in pixels.
            pretrained: whether to load pretrained weights where there are any. Defaults to `True`.
            unfrozen_blocks: how many blocks to train, counted from the features, in
                0..`len(blocks)`. What follows the last block is trained with it. Defaults to 0,
                all is frozen.

        Raises:
            UserError: if there are not that many blocks, or the weights cannot be had.
        """
        import keras

        pretrained = pretrained and self.load_weights is not None
        if pretrained:
            self.check(unfrozen_blocks)
        whole = self.network(size)
        if not pretrained:
            return Parts(whole, frozen=None, trainable=whole)
        self.load_weights(whole)
        if unfrozen_blocks == 0:
            whole.trainable = False
            return Parts(whole, frozen=whole, trainable=None)
        boundary = whole.get_layer(self.blocks[-unfrozen_blocks]).input
        frozen = keras.Model(whole.input, boundary, name="frozen")
        frozen.trainable = False
        trainable = keras.Model(boundary, whole.output, name="trainable")
        for layer in trainable.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        return Parts(whole, frozen, trainable)

    def check(self, unfrozen_blocks: int) -> None:
        """Sees that so many blocks can be trained.

        Raises:
            UserError: if there are not that many; the message says how many there are.
        """
        if self.load_weights is not None and not 0 <= unfrozen_blocks <= len(self.blocks):
            raise UserError(
                f"model.unfrozen_blocks is {unfrozen_blocks}; "
                f"{self.name} takes 0 to {len(self.blocks)}"
            )
