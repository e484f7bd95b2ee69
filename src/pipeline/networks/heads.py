"""What stands on a network's features: one head, or several side by side that become one."""

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core import params

if TYPE_CHECKING:
    import keras


def build(
    keras: Any, channels: int, model: params.Model, labels: int, count: int | None = None
) -> "keras.Model":
    """From features (n, channels) to logits (n, labels), or of `count` heads (n, count, labels)."""
    layers = keras.layers
    one = [keras.Input((channels,)), layers.Dropout(model.dropout)]
    if count is None:
        logits = layers.Dense(labels, name="logits")
        between = [layers.Dense(model.hidden, "relu")] if model.hidden else []
    elif model.hidden:
        hidden = layers.Dense(count * model.hidden, "relu")
        between = [hidden, layers.Reshape((count, model.hidden))]
        shape = (count, labels)
        logits = layers.EinsumDense("nkh,khc->nkc", shape, bias_axes="kc", name="logits")
    else:
        # One product for all heads: an einsum would turn the weights round in every step.
        between = [layers.Dense(count * labels, name="logits")]
        logits = layers.Reshape((count, labels), name="logits_by_head")
    dropout = [layers.Dropout(model.dropout)] if model.hidden else []
    return keras.Sequential([*one, *between, *dropout, logits], name="head")


def merged(keras: Any, heads: "keras.Model", model: params.Model, labels: int) -> "keras.Model":
    """One head whose logits are the mean of those of several side by side.

    Linear heads make a linear one; hidden layers stand beside each other in one that is as many
    times wider.
    """
    weights = heads.get_weights()
    count, channels = heads.output_shape[1], heads.input_shape[-1]
    if model.hidden:
        wide, last, bias = weights[:2], np.concatenate(weights[2]) / count, weights[3]
    else:
        wide, last = [], weights[0].reshape(channels, count, labels).mean(axis=1)
        bias = weights[1].reshape(count, labels)
    head = build(keras, channels, model.model_copy(update={"hidden": model.hidden * count}), labels)
    head.set_weights([*wide, last, bias.mean(axis=0)])
    return head
