"""Builds heads on a network's features: one, or several side by side that become one."""

from typing import Any

import numpy as np

from pipeline.networks.quiet_keras import keras, tf

layers = keras.layers


class _ByteDropout(layers.Dropout):
    """Dropout that makes four decisions from one random number, where Keras makes one.

    Drawing them was most of a head's step. The rate is rounded to 1/256, and is at most 255/256.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training or not self.rate:
            return inputs
        drops = min(round(self.rate * 256), 255)
        shape, seed = tf.shape(inputs), self.seed_generator.next()
        every: Any = None  # to TensorFlow: all numbers that 32 bits hold
        words = tf.random.stateless_uniform(
            [-(-tf.size(inputs) // 4)], seed, minval=every, maxval=every, dtype=tf.uint32
        )
        drawn = tf.reshape(tf.bitcast(words, tf.uint8), [-1])[: tf.size(inputs)]
        kept = tf.cast(tf.reshape(drawn, shape) >= drops, inputs.dtype)
        return inputs * kept * (256 / (256 - drops))


def build(
    channels: int, labels: int, hidden: int, dropout: float, count: int | None = None
) -> keras.Model:
    """Builds a head.

    Args:
        channels: Of the features.
        labels: How many species there are.
        hidden: Units of a hidden layer; 0 for a linear head.
        dropout: Share of the inputs of each dense layer that is dropped in training.
        count: How many heads stand side by side. Defaults to None: one, without an axis of heads.

    Returns:
        From features (n, channels) to logits (n, labels), or of `count` heads (n, count, labels).
    """
    # What is served has Keras' own layer, or whoever loads it would need this one.
    dropped = layers.Dropout if count is None else _ByteDropout
    one = [keras.Input((channels,)), dropped(dropout)]
    if count is None:
        logits = layers.Dense(labels, name="logits")
        between = [layers.Dense(hidden, "relu")] if hidden else []
    elif hidden:
        wide = layers.Dense(count * hidden, "relu")
        between = [wide, layers.Reshape((count, hidden))]
        shape = (count, labels)
        logits = layers.EinsumDense("nkh,khc->nkc", shape, bias_axes="kc", name="logits")
    else:
        # One product for all heads: an einsum would transpose the weights in every step.
        between = [layers.Dense(count * labels, name="logits")]
        logits = layers.Reshape((count, labels), name="logits_by_head")
    last = [dropped(dropout)] if hidden else []
    return keras.Sequential([*one, *between, *last, logits], name="head")


def merged(heads: keras.Model, hidden: int, dropout: float) -> keras.Model:
    """Merges heads side by side into one whose logits are the mean of theirs.

    Linear heads make a linear one; hidden layers stand beside each other in one that is as many
    times wider.

    Args:
        heads: From `build`, with `count`.
        hidden: Units of the hidden layer of each.
        dropout: Of each.
    """
    weights = heads.get_weights()
    count, labels = heads.output_shape[1:]
    channels = heads.input_shape[-1]
    if hidden:
        wide, last, bias = weights[:2], np.concatenate(weights[2]) / count, weights[3]
    else:
        wide, last = [], weights[0].reshape(channels, count, labels).mean(axis=1)
        bias = weights[1].reshape(count, labels)
    head = build(channels, labels, hidden * count, dropout)
    head.set_weights([*wide, last, bias.mean(axis=0)])
    return head
