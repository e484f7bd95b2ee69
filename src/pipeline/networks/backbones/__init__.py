"""Registers the backbones, pretrained or from scratch, by their names.

A further backbone is a file beside this one and an entry in the list below. Keras is imported only
when a network is built.

Example:
    >>> backbone = get("efficientnet_lite0")
    >>> whole, frozen, trainable = backbone.build(224, unfrozen_blocks=2)

Pretrained ones also stand side by side, as `efficientnet_lite0+efficientnet_lite2`.
"""

from pipeline.core.errors import UserError
from pipeline.networks.backbones.backbone import Backbone, Classifier, Parts, blocks, towers
from pipeline.networks.backbones.concatenated import side_by_side
from pipeline.networks.backbones.efficientnet_lite import LITE0, LITE1, LITE2
from pipeline.networks.backbones.keras_applications import APPLICATIONS
from pipeline.networks.backbones.scratch_cnn import SCRATCH_CNN
from pipeline.networks.backbones.scratch_resnet import SCRATCH_RESNET

__all__ = ["Backbone", "Classifier", "Parts", "blocks", "chosen", "get", "names", "towers"]

_ALL = (LITE0, LITE1, LITE2, *APPLICATIONS, SCRATCH_CNN, SCRATCH_RESNET)
_REGISTRY = {backbone.name: backbone for backbone in _ALL}


def names() -> tuple[str, ...]:
    """Every backbone there is."""
    return tuple(_REGISTRY)


def chosen(name: str, views: bool = False) -> str:
    """Returns the name of a backbone; `auto` is the one that is best for such photos.

    Two networks see more than one on photos of the web, and less in the parts of camera traps'
    frames (docs/training.md).

    Args:
        name: Of a backbone, or `auto`.
        views: Whether photos are seen by several views, as `resize.crop` makes them.
    """
    if name != "auto":
        return name
    return LITE2.name if views else f"{LITE0.name}+{LITE2.name}"


def get(name: str) -> Backbone:
    """Returns the backbone called `name`, or the concatenation of those with `+` between them.

    Raises:
        UserError: There is none of that name; the message lists those there are. Or those named
            cannot stand side by side.
    """
    if "+" in name:
        return side_by_side([get(member) for member in name.split("+")])
    if name not in _REGISTRY:
        raise UserError(f"model.backbone is {name!r}; it must be one of {', '.join(names())}")
    return _REGISTRY[name]
