"""Waking Keras: quietly, once, and only where a network is built, trained or exported."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def keras(seed: int | None = None) -> ModuleType:
    """Imports Keras, on TensorFlow or what the environment's `KERAS_BACKEND` says.

    Args:
        seed: Seeds Python, numpy and the backend, and makes operations deterministic, so that the
            same inputs give the same weights on the same machine; on a GPU JAX does not promise
            it. Defaults to None: neither.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Or the first process takes a GPU's memory, and others of the same search find none.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    with quiet():
        import keras
    if seed is not None:
        keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        if seed is not None:
            tf.config.experimental.enable_op_determinism()
    return keras


def out_of_memory(error: BaseException | None) -> bool:
    """Whether an operation failed for that; TensorFlow, JAX and numpy each have an error for it.

    It may be the reason of another one: Keras tidies up after a failed step, and misses the weights
    that JAX has lost.
    """
    if error is None:
        return False
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return "RESOURCE_EXHAUSTED" in str(error) or out_of_memory(error.__context__)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what TensorFlow's C++ code says away from stderr; it heeds no setting while it loads.

    Python's exceptions pass.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
