"""Imports Keras: quietly, and only where a network is built, trained or exported."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def keras() -> ModuleType:
    """Imports Keras on TensorFlow, quietly. Returns the module."""
    os.environ["KERAS_BACKEND"] = "tensorflow"  # a user's ~/.keras may name another one
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Or the first process takes a GPU's memory, and others of the same search find none.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with quiet(), _hidden("matplotlib", "sklearn"):
        import keras
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    return keras


@contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """Has imports of packages fail while the block lasts, unless they or Keras are there already.

    Keras imports these if they are installed, for wrappers and plots that nothing here uses: two of
    the five seconds that it takes.
    """
    hidden = [name for name in packages if not {name, "keras"} & sys.modules.keys()]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))  # None is Python's own sign of a module that is missing
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


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
