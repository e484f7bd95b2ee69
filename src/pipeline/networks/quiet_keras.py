"""Keras and TensorFlow as `keras_setup` imports them, for modules that need them at the top."""

from typing import TYPE_CHECKING

from pipeline.networks import keras_setup

if TYPE_CHECKING:
    import keras
else:
    keras = keras_setup.keras()
import tensorflow as tf

__all__ = ["keras", "tf"]
