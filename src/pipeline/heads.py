"""What stands on a network's features: one head, or several side by side that become one."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import params

if TYPE_CHECKING:
    import keras


def build(
    keras: Any, channels: int, model: params.Model, labels: int, count: int | None = None
) -> "keras.Model":
    """From features (n, channels) to logits (n, labels), or of `count` heads (n, count, labels)."""
    layers = keras.layers
    if count is None:
        hidden = partial(layers.Dense, model.hidden)
        logits = layers.Dense(labels, name="logits")
    else:
        equation = "nkd,kdc->nkc" if model.hidden else "nd,kdc->nkc"
        shape = (count, labels)
        logits = layers.EinsumDense(equation, shape, bias_axes="kc", name="logits")
        hidden = partial(layers.EinsumDense, "nd,kdh->nkh", (count, model.hidden), bias_axes="kh")
    between = [hidden(activation="relu"), layers.Dropout(model.dropout)] if model.hidden else []
    first = [keras.Input((channels,)), layers.Dropout(model.dropout)]
    return keras.Sequential([*first, *between, logits], name="head")


def merged(keras: Any, heads: "keras.Model", model: params.Model, labels: int) -> "keras.Model":
    """One head whose logits are the mean of those of several side by side.

    Linear heads make a linear one; hidden layers stand beside each other in one that is as many
    times wider.
    """
    weights = heads.get_weights()
    count = len(weights[-2])
    if model.hidden:
        kernel, bias = weights[0], weights[1]
        wide = [np.concatenate(kernel, axis=1), bias.ravel()]
        last = np.concatenate(weights[-2]) / count
    else:
        wide, last = [], weights[-2].mean(axis=0)
    channels = heads.input_shape[-1]
    one = model.model_copy(update={"hidden": model.hidden * count})
    head = build(keras, channels, one, labels)
    head.set_weights([*wide, last, weights[-1].mean(axis=0)])
    return head
