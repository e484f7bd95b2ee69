"""The networks of `keras.applications`, with ImageNet weights from Keras' own download.

Each takes the same pixels as every backbone here, 0 to 255; what its authors did to them before is
part of the network.
"""

from __future__ import annotations

import os
import re
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.core.errors import UserError
from pipeline.networks.backbones import keras_weights, weight_files
from pipeline.networks.backbones.backbone import Backbone
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

if TYPE_CHECKING:
    import keras

# What a network was trained to see. `mean`: BGR less ImageNet's mean (Caffe's habit); `signed`: -1
# to 1; `standard`: less the mean, over the standard deviation (PyTorch's); `own`: its own layers
# see to it.
_MEAN_BGR = (103.939, 116.779, 123.68)
_MEAN_RGB, _DEVIATION_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_NETWORKS = (  # name, constructor in keras.applications, what it sees, size it was trained at (px)
    ("vgg16", "VGG16", "mean", 224),
    ("vgg19", "VGG19", "mean", 224),
    ("resnet50", "ResNet50", "mean", 224),
    ("resnet50v2", "ResNet50V2", "signed", 224),
    ("inception_v3", "InceptionV3", "signed", 299),
    ("inception_resnet_v2", "InceptionResNetV2", "signed", 299),
    ("xception", "Xception", "signed", 299),
    ("densenet121", "DenseNet121", "standard", 224),
    ("mobilenet_v2", "MobileNetV2", "signed", 224),
    ("mobilenet_v3_small", "MobileNetV3Small", "own", 224),
    ("mobilenet_v3_large", "MobileNetV3Large", "own", 224),
    ("efficientnetv2_b0", "EfficientNetV2B0", "own", 224),
    ("efficientnetv2_b1", "EfficientNetV2B1", "own", 240),
    ("efficientnetv2_b2", "EfficientNetV2B2", "own", 260),
    ("efficientnetv2_b3", "EfficientNetV2B3", "own", 300),
    ("efficientnetv2_s", "EfficientNetV2S", "own", 384),
    ("efficientnetv2_m", "EfficientNetV2M", "own", 480),
    ("convnext_tiny", "ConvNeXtTiny", "own", 224),
    ("convnext_small", "ConvNeXtSmall", "own", 224),
)


def network(constructor: str, sees: str, size: int) -> keras.Model:
    """Builds it with random weights: pixels `(n, size, size, 3)` to features `(n, channels)`."""
    from keras import Input, Model, layers

    pixels = Input((size, size, 3), name="pixels")
    prepared = _prepared(pixels, sees)
    if constructor.startswith("ConvNeXt"):  # its last layer normalises what was pooled
        base = _base(constructor, weights=None, input_tensor=prepared, pooling="avg")
        return Model(pixels, base.output, name=constructor)
    base = _base(constructor, weights=None, input_tensor=prepared)
    features = layers.GlobalAveragePooling2D(name="pool")(base.output)
    return Model(pixels, features, name=constructor)


def load_weights(constructor: str, model: keras.Model, weights: str) -> None:
    """Loads weights into a `network`.

    Args:
        constructor: What it is called in `keras.applications`.
        model: The network.
        weights: `imagenet`, or the path of a file of Keras: `.keras` or `.weights.h5`, or `.h5`
            without the classifier, as Keras publishes them.

    Raises:
        UserError: They cannot be fetched or do not fit; says which file to put where.
    """
    if weights == "imagenet":
        source = _fetched(constructor, model.input_shape[1:])
    else:
        source = _base(constructor, weights=None, input_shape=model.input_shape[1:])
        source = _loaded(model, source, Path(weights))
    if source is not model:
        for layer, loaded in zip(_weighted(model), _weighted(source), strict=True):
            layer.set_weights(loaded.get_weights())


def _loaded(model: keras.Model, bare: keras.Model, path: Path) -> keras.Model:
    """Loads a file into a `network` or into what Keras builds, whichever it fits."""
    match weight_files.form(path):
        case "keras":
            return keras_weights.load([model, bare], path)
        case "legacy_h5":
            with tempfile.TemporaryDirectory() as folder:
                link = Path(folder) / "weights.h5"  # Keras goes by the ending
                link.symlink_to(path.absolute())
                try:
                    bare.load_weights(link)
                except (ValueError, OSError, KeyError) as error:
                    reason = str(error).split(chr(10))[0]
                    raise UnusableWeights(f"it is of another network: {reason}") from None
            return bare
    raise UnusableWeights(
        "this network takes files of Keras (.keras, .weights.h5 or .h5), and it is none"
    )


def _fetched(constructor: str, shape: tuple[int, ...]) -> keras.Model:
    """Returns what Keras builds with its ImageNet weights, downloaded where they are not there."""
    try:
        return _base(constructor, weights="imagenet", input_shape=shape)
    except Exception as error:  # Keras raises a bare Exception where a download fails
        if fetched := re.match(r"URL fetch failure on (\S+?):? ", str(error)):
            url = fetched[1]
            raise UserError(
                f"the weights of {constructor} are not at hand and cannot be fetched; fetch "
                f"{url} elsewhere and put it into {_folder()}, or name its path in model.weights"
            ) from None
        raise UserError(
            f"the weights of {constructor} cannot be fetched: {error}; fetch the file without "
            f"its top (`notop`) elsewhere and put it into {_folder()}, or name its path in "
            "model.weights"
        ) from None


def _folder() -> Path:
    """Returns where Keras stores what it downloads."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def _at_hand(name: str) -> bool:
    stem = name.replace("v2_", "v2-") if name.startswith("efficientnet") else name
    return any(_folder().glob(f"*{stem}_*no*top*.h5"))


def _base(constructor: str, **arguments: Any) -> keras.Model:
    from keras import applications

    return getattr(applications, constructor)(include_top=False, **arguments)


def _prepared(pixels: Any, sees: str) -> Any:
    import numpy as np
    from keras import layers

    match sees:
        case "signed":
            return layers.Rescaling(1 / 127.5, -1, name="rescaling")(pixels)
        case "standard":
            scale = [1 / (255 * deviation) for deviation in _DEVIATION_RGB]
            pairs = zip(_MEAN_RGB, _DEVIATION_RGB, strict=True)
            offset = [-mean / deviation for mean, deviation in pairs]
            return layers.Rescaling(scale, offset, name="rescaling")(pixels)
        case "mean":  # a frozen 1 x 1 convolution turns RGB into BGR, which no layer of Keras does
            swap = layers.Conv2D(3, 1, name="bgr", trainable=False)
            bgr = swap(pixels)
            swap.set_weights([np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array(_MEAN_BGR)])
            return bgr
    return pixels


def _weighted(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights and layer.name != "bgr"]


APPLICATIONS = tuple(
    Backbone(
        name=name,
        size=size,
        network=partial(network, constructor, sees),
        load_weights=partial(load_weights, constructor),
        at_hand=partial(_at_hand, name),
    )
    for name, constructor, sees, size in _NETWORKS
)
