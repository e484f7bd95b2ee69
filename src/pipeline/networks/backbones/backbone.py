"""Describes a backbone: how it is built, split and given weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.core.errors import UserError
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

if TYPE_CHECKING:
    import keras


class Parts(NamedTuple):
    """A network, and the two models it is the sum of. All three share their layers.

    So once `trainable` is trained, so is `whole`, and a head on `whole.output` makes the
    classifier from pixels to logits.

    Args:
        whole: RGB pixels in 0..255, uint8 or float32 `(n, size, size, 3)`, to pooled features,
            float32 `(n, channels)`. Preprocessing is inside.
        frozen: from pixels to the activations where training starts. `None` if all is trained.
        trainable: from those activations to the pooled features. `None` if nothing is trained.
    """

    whole: keras.Model
    frozen: keras.Model | None
    trainable: keras.Model | None


class Classifier(NamedTuple):
    """A dense layer on the last of a network's features, to the logits of ImageNet's classes.

    Args:
        of: name of the backbone that it was trained with.
        kernel: float32 `(channels, 1000)`; the last so many features enter.
        bias: float32 `(1000,)`.
    """

    of: str
    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Computes the logits of ImageNet's classes, (n, 1000), from features (n, channels)."""
        return features[:, -len(self.kernel) :] @ self.kernel + self.bias


@dataclass(frozen=True)
class Backbone:
    """A network that turns pixels into features for a classification head.

    Args:
        name: what `params.yaml` calls it.
        size: sides of the pictures that its weights were trained at, or it was made for (px).
        network: takes a picture size and returns the network with random weights, as `Parts.whole`
            describes it.
        load_weights: gives that network weights: `imagenet`, or those of a file by its path.
            `None` (default) if it only starts from random ones.
        at_hand: whether its ImageNet weights are on this machine.
        has_blocks: whether some of its blocks can be trained and others stay as they are.
        classifier: gives the layer that classified ImageNet's 1,000 classes on its pretrained
            features. `None` (default) if its weights come without one.
    """

    name: str
    size: int
    network: Callable[[int], keras.Model]
    load_weights: Callable[[keras.Model, str], None] | None = None
    at_hand: Callable[[], bool] = lambda: True
    has_blocks: bool = True
    classifier: Callable[[], Classifier] | None = None

    def build(self, size: int, *, weights: str = "imagenet", unfrozen_blocks: int = 0) -> Parts:
        """Builds the network and splits it into what stays as it is and what is trained.

        A network that starts from random weights is trained as a whole, whatever
        `unfrozen_blocks` says. Layers of the frozen part get `trainable=False`. So does batch
        normalisation in the trainable part of a pretrained network: statistics of a million
        pictures are better than those of a small batch.

        Args:
            size: height and width of the pictures in pixels.
            weights: `imagenet` (default), `none`, or the path of a file. A network that has no
                pretrained weights starts from random ones in place of `imagenet`.
            unfrozen_blocks: how many blocks to train, counted from the features, in
                0..`len(blocks(network))`. Defaults to 0, all is frozen.

        Raises:
            UserError: if there are not that many blocks, the weights cannot be had, or pictures of
                that size are too small for the network.
        """
        import keras

        whole, load = self._network(size), self.load_weights
        if load is None:
            if weights not in ("imagenet", "none"):
                raise UserError(
                    f"model.weights is {weights}, and {self.name} takes none; set it to none"
                )
            weights = "none"
        if load is None or weights == "none":
            return Parts(whole, frozen=None, trainable=whole)
        starts = blocks(whole)
        _require(self.name, unfrozen_blocks, len(starts))
        self._load(load, whole, weights)
        if unfrozen_blocks == 0:
            whole.trainable = False
            return Parts(whole, frozen=whole, trainable=None)
        frozen, trainable = None, whole
        if unfrozen_blocks < len(starts):
            boundary = starts[-unfrozen_blocks]
            frozen = keras.Model(whole.input, boundary, name="frozen")
            frozen.trainable = False
            trainable = keras.Model(boundary, whole.output, name="trainable")
        for layer in trainable.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        return Parts(whole, frozen, trainable)

    def _load(
        self, load: Callable[[keras.Model, str], None], whole: keras.Model, weights: str
    ) -> None:
        if weights == "imagenet":
            return load(whole, weights)
        try:
            load(whole, weights)
            if not all(np.isfinite(weight).all() for weight in whole.get_weights()):
                raise UnusableWeights("some of its numbers are NaN or infinite")
        except UnusableWeights as error:
            raise UserError(
                f"model.weights is {weights}, which model.backbone {self.name} cannot take: {error}"
            ) from None

    def weights_at_hand(self) -> bool | None:
        """Tells whether its ImageNet weights are on this machine; `None` if there are none."""
        return self.at_hand() if self.load_weights else None

    def check(self, size: int, unfrozen_blocks: int) -> None:
        """Checks that so many blocks can be trained, if pictures have this size.

        Raises:
            UserError: if not; the message says what is possible.
        """
        if self.load_weights is not None and unfrozen_blocks:
            _require(self.name, unfrozen_blocks, len(blocks(self._network(size))))

    def _network(self, size: int) -> keras.Model:
        try:
            return self.network(size)
        except ValueError as error:
            raise UserError(
                f"model.backbone {self.name} cannot be built for {size} px: {error}; "
                "raise resize.size or take another one"
            ) from None


def blocks(network: keras.Model) -> list[keras.KerasTensor]:
    """Lists where each block of a network starts, in the order pixels pass them.

    A block is the smallest piece of the network with a convolution that one tensor enters: a
    residual block with its shortcut, an Inception module, or a convolution in a plain chain. There
    is none in a network that is made of whole ones.
    """
    if towers(network):
        return []
    steps = network.operations[1:]  # layers, and operations such as + that are none
    consumers = Counter(id(x) for step in steps for x in _tensors(step.input))
    starts: list[keras.KerasTensor] = []
    alive: Counter[int] = Counter()
    entered, convolves = network.input, False
    for step in steps:
        alive.subtract(id(x) for x in _tensors(step.input))
        alive[id(step.output)] = consumers[id(step.output)]
        weights = getattr(step, "trainable_weights", ())
        convolves |= any(len(weight.shape) == 4 for weight in weights)
        if sum(count > 0 for count in alive.values()) == 1 and alive[id(step.output)]:
            if convolves:
                starts.append(entered)
            entered, convolves = step.output, False
    return starts


def towers(network: keras.Model) -> list[keras.Model]:
    """Returns the networks whose features the last layer of a network concatenates.

    There are none if it is one network.
    """
    import keras

    if not isinstance(network.layers[-1], keras.layers.Concatenate):
        return []  # ConvNeXt has models inside too
    return [layer for layer in network.layers if isinstance(layer, keras.Model)]


def _tensors(one_or_more: object) -> list[keras.KerasTensor]:
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


def _require(name: str, unfrozen_blocks: int, most: int) -> None:
    if not 0 <= unfrozen_blocks <= most:
        alone = "" if most else "; blocks are trained of one network alone, without +"
        raise UserError(
            f"model.unfrozen_blocks is {unfrozen_blocks}; {name} takes 0 to {most}{alone}"
        )
