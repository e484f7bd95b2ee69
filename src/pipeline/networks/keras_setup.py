"""Imports Keras: quietly, and only where a network is built, trained or exported."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from pipeline.core.imports import hidden


def keras() -> ModuleType:
    """Imports Keras on TensorFlow, quietly. Returns the module."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # a user's ~/.keras may name another one
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Or the first process takes a GPU's memory, and others of the same search find none.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # Keras would import these for wrappers and plots, which nothing here uses: two of its five
    # seconds.
    unused = () if "keras" in sys.modules else ("matplotlib", "sklearn")
    with quiet(), hidden(*unused):
        import keras
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    return keras


def seed(seed: int) -> None:
    """Seeds Python, numpy and TensorFlow, and makes operations deterministic.

    So the same inputs give the same weights on the same machine.
    """
    keras().utils.set_random_seed(seed)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def out_of_memory(error: BaseException) -> bool:
    """Tells whether an operation failed for want of memory, by numpy's error or TensorFlow's."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


@contextmanager
def quiet() -> Iterator[None]:
    """Hides what TensorFlow's C++ code writes to stderr; no setting silences it while it loads.

    Python's exceptions pass.
    """
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
