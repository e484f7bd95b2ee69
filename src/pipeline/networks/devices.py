"""Runs and trains networks on the CPU, a GPU in half precision, or several GPUs together."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count
from typing import Any, Literal

from pipeline.networks.quiet_keras import keras, tf

XLA = False  # Keras' default compiles with XLA: on CPUs that runs 11 to 15 times slower


def training_gpus() -> list[str]:
    """Returns the GPUs that share each batch, such as `gpu:0`; none on a machine without."""
    return [name for name in keras.distribution.list_devices() if name.startswith("gpu")]


def compiled(
    network: keras.Model,
    precision: Literal["auto", "float32"],
    optimizer: Callable[[], keras.Optimizer],
    loss: keras.Loss,
    steps: int = 1,
) -> keras.Model:
    """Returns a network to train in place of this one, ready for `fit`.

    On a CPU it is the network itself. A GPU computes in float16 beside weights in
    float32 (Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740). Several GPUs each take a
    part of every batch (`tf.distribute.MirroredStrategy`), with batch normalisation over all of it.

    Args:
        network: From inputs to logits, the layers called so, which stay in float32.
        precision: `auto` for float16 on GPUs; `float32` for float32 everywhere.
        optimizer: Makes one; called where its variables belong.
        loss: Takes logits.
        steps: How many run between two callbacks: many cost less where each is short. Defaults
            to 1.

    Returns:
        A network with as many weights, in the same order.
    """
    gpus = training_gpus()
    half = precision == "auto" and bool(gpus)
    scope = nullcontext()
    if len(gpus) > 1:
        reduction = tf.distribute.ReductionToOneDevice()
        scope = tf.distribute.MirroredStrategy(gpus, cross_device_ops=reduction).scope()

    with scope:
        if half or len(gpus) > 1:
            weights = network.get_weights()
            clone = partial(_cloned_for_gpus, half=half, synchronized=len(gpus) > 1)
            network = keras.models.clone_model(network, clone_function=clone, recursive=True)
            network.set_weights(weights)
        plain = optimizer()
        network.compile(
            _scaled(plain, len(gpus)) if half else plain,
            loss,
            weighted_metrics=["accuracy"],
            steps_per_execution=steps,
            jit_compile=XLA,
        )
        # What the first step would create is there already: or TensorFlow would trace it twice,
        # a tenth of the time of a short trial.
        network.optimizer.build(network.trainable_variables)
        nothing = keras.ops.zeros((1, *network.output_shape[1:]))
        network.compute_metrics(None, nothing, nothing)
    return network


def _cloned_for_gpus(layer: keras.Layer, half: bool, synchronized: bool) -> keras.Layer:
    """Clones a layer in half precision, or with batch normalisation over all GPUs.

    Logits stay in full precision.
    """
    config = layer.get_config()
    if half and isinstance(layer, keras.Layer):  # an addition has no precision of its own
        last = layer.name.startswith("logits")
        config["dtype"] = "float32" if last else "mixed_float16"
    if synchronized and isinstance(layer, keras.layers.BatchNormalization):
        config["synchronized"] = True
    return type(layer).from_config(config)


def _scaled(optimizer: keras.Optimizer, gpus: int) -> keras.Optimizer:
    """Returns an optimizer for float16, which scales the loss and skips steps that overflow."""
    if gpus < 2:
        return keras.optimizers.LossScaleOptimizer(optimizer)

    class SynchronizedLossScale(keras.optimizers.LossScaleOptimizer):
        # Keras goes by the first GPU's gradients, for it takes them to be the sum of all.
        def check_finite(self, grads: list) -> tf.Tensor:
            overflowed = tf.cast(tf.logical_not(super().check_finite(grads)), tf.float32)
            return tf.distribute.get_replica_context().all_reduce("SUM", overflowed) == 0

    return SynchronizedLossScale(optimizer)


def feed(batches: keras.utils.PyDataset, features: Sequence[Any] = ()) -> Any:
    """Returns what `fit` is to read batches from, rather than from the data set itself.

    Keras would have reading tuned, by a thread that sleeps twice as long each time,
    and at its end `fit` waits for that to wake up: up to half of the time that a head takes.

    Args:
        batches: Batches of inputs, targets and weights, by their number, without end.
        features: Tensors of which the inputs of a batch are rows, by their numbers; what they give
            stands side by side. To hand features themselves from Python to TensorFlow takes a sixth
            of a head's time. Defaults to none: inputs are what batches say.
    """
    alike = [tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in batches[0]]
    read = tf.data.Dataset.from_generator(
        lambda: map(batches.__getitem__, count()), output_signature=tuple(alike)
    )
    untuned = tf.data.Options()
    untuned.autotune.enabled = False

    def gathered(rows: tf.Tensor, *others: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tf.concat([tf.gather(each, rows) for each in features], axis=-1), *others

    read = read.map(gathered) if features else read
    return read.prefetch(2).with_options(untuned)
