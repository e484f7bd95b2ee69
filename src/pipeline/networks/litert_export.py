"""Converts a Keras network to a LiteRT file, and compares the answers of both."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core import atomic
from pipeline.core.errors import UserError
from pipeline.inference import checksums
from pipeline.inference.litert import PARITY
from pipeline.networks import keras_setup

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from pipeline.dataset.shards import Shards

# Training photos: 20, 100 and 300 gave int8 networks of the same accuracy, within chance.
CALIBRATION_PICTURES = 64


def to_litert(model: "keras.Model", calibration_pictures: np.ndarray | None = None) -> bytes:
    """Converts a network to LiteRT, for one picture at a time, with float32 in and out.

    Args:
        model: The network.
        calibration_pictures: Pictures, uint8 (n, size, size, 3). The activations that they cause
            give the ranges, and weights and activations become int8 (Jacob et al. 2018). Defaults
            to None: everything stays float32.

    Returns:
        The contents of a `.tflite` file.
    """
    with keras_setup.quiet():
        converter = _converter(model)
        if calibration_pictures is not None:
            _set_int8(converter, calibration_pictures)
        return converter.convert()


def _converter(model: "keras.Model") -> Any:
    """Opens a network for conversion, with its weights as constants.

    `model.export` gives the same file in many times the time: with variables, TensorFlow saves,
    loads and freezes them first.
    """
    import tensorflow as tf

    (pixels,) = model.inputs
    signature = [tf.TensorSpec((1, *pixels.shape[1:]), tf.float32, pixels.name)]
    function = tf.function(_with_constants(model), input_signature=signature)
    # A module that holds nothing: one that held the function would have it traced once more.
    concrete = [function.get_concrete_function()]
    return tf.lite.TFLiteConverter.from_concrete_functions(concrete, tf.Module())


def calibration_pictures(shards: "Shards", split: "pd.DataFrame") -> np.ndarray:
    """Picks the training pictures that int8 is calibrated on, evenly spaced in their order.

    Args:
        shards: The resized pictures.
        split: A row a photo, with columns photo and split.

    Returns:
        uint8 (n, size, size, 3), at least `CALIBRATION_PICTURES` of them where there are as many.
    """
    splits = shards.index["photo"].map(split.set_index("photo")["split"])
    training = np.flatnonzero(splits == "train")
    return shards.take(training[:: max(1, len(training) // CALIBRATION_PICTURES)])


def _with_constants(model: "keras.Model") -> Callable[[Any], Any]:
    """Returns the network as a function of pixels, whose weights are on no device."""
    keras = keras_setup.keras()
    trainable, others = (
        [keras.ops.convert_to_numpy(variable) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    return lambda pixels: model.stateless_call(trainable, others, pixels, training=False)[0]


def _set_int8(converter: Any, pictures: np.ndarray) -> None:
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([p[None].astype(np.float32)] for p in pictures)
    # An operation that int8 does not know stays float.
    operations = tf.lite.OpsSet
    converter.target_spec.supported_ops = [
        operations.TFLITE_BUILTINS_INT8,
        operations.TFLITE_BUILTINS,
    ]


def digest(model: "keras.Model") -> str:
    """Returns the sha256 of a network and its weights, as hexadecimal digits."""
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def cached(model: "keras.Model", cache: Path) -> bytes:
    """Converts a network as `to_litert` does, once: later calls read the file.

    Args:
        model: The network.
        cache: Folder for the files; safe to delete at any time.
    """
    path = cache / f"{digest(model)}.tflite"
    if not path.exists():
        exported = to_litert(model)
        with atomic.atomic_write(path) as partial:
            partial.write_bytes(exported)
    path.touch()  # the caches' bound goes by the last use
    return path.read_bytes()


@dataclass(frozen=True)
class Description:
    """Describes a network's answers: the content of `labels.json`.

    Attributes:
        labels: Species in the order of its answers.
        fit: How photos are made square for it, as in `decoding.square`.
        max_pixels: Photos that claim more are refused, as in `decoding.square`.
        calibration: A `calibration.Calibration` of its answers, as a dictionary.
        imagenet: An `open_set.ImageNet` that reads its output of that name, as a dictionary.
            Defaults to None: it has no such output.
    """

    labels: tuple[str, ...]
    fit: str
    max_pixels: int
    calibration: Mapping[str, float]
    imagenet: Mapping[str, Any] | None = None


def write(
    folder: Path,
    keras_file: Path,
    litert: bytes,
    description: Description,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Writes a recogniser: `model.keras`, `model.tflite`, `labels.json` and their hashes.

    Args:
        folder: Where; it appears when everything is written.
        keras_file: The network as Keras saved it.
        litert: The same as LiteRT.
        description: The content of `labels.json`.
        beside: Other files to write with it, by name. Defaults to none.
    """
    with atomic.atomic_write(folder) as partial:
        partial.mkdir()
        shutil.copyfile(keras_file, partial / "model.keras")
        for name, content in {"model.tflite": litert, **beside}.items():
            (partial / name).write_bytes(content)
        written = json.dumps(asdict(description), indent=2)
        (partial / "labels.json").write_text(f"{written}\n")
        checksums.write_checksums(partial)


@dataclass(frozen=True)
class Agreement:
    """Says how two networks' probabilities differ on the same pictures.

    Attributes:
        pictures: How many were compared.
        same_label: How many got the same label from both.
        largest_difference: Of any probability.
    """

    pictures: int
    same_label: int
    largest_difference: float


def predict_on_cpu(model: "keras.Model", batches: Iterable[np.ndarray]) -> np.ndarray:
    """Runs a Keras network on the CPU, since a GPU's float32 has fewer bits.

    Args:
        model: The network; it stays on its device.
        batches: Pictures, each uint8 (n, size, size, 3), in memory one batch at a time.

    Returns:
        Its answers, float32 (pictures, species).
    """
    import tensorflow as tf

    with tf.device("cpu"):
        answer = tf.function(_with_constants(model), reduce_retracing=True)
        return np.concatenate([answer(tf.constant(batch)).numpy() for batch in batches])


def compare(
    left: np.ndarray,
    right: np.ndarray,
    names: str = "the Keras and the LiteRT network",
) -> Agreement:
    """Proves that two networks agree.

    Args:
        left: Probabilities of one, (n, species).
        right: Probabilities of the other for the same pictures, (n, species).
        names: What an error calls both.

    Returns:
        How far they differ.

    Raises:
        UserError: A label differs, or a probability by more than `litert.PARITY`.
    """
    same = int((left.argmax(axis=1) == right.argmax(axis=1)).sum())
    agreement = Agreement(len(left), same, float(np.abs(left - right).max()))
    if same != len(left) or agreement.largest_difference > PARITY:
        raise UserError(
            f"{names} disagree: the same label on {same} of {len(left)} "
            f"pictures, probabilities up to {agreement.largest_difference:.2g} apart "
            f"(at most {PARITY:g} is allowed)"
        )
    return agreement
