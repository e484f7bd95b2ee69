"""A Keras network as a LiteRT file, with proof that both agree."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.core import atomic
from pipeline.core.errors import UserError
from pipeline.inference import checksums
from pipeline.networks import devices, keras_setup

if TYPE_CHECKING:
    import keras

# Training photos: 20, 100 and 300 gave int8 networks of the same accuracy, within chance.
ENOUGH_FOR_INT8 = 64


def to_litert(model: "keras.Model", measured_on: np.ndarray | None = None) -> bytes:
    """Exports a network, made for one picture at a time, with float32 in and out.

    Args:
        model: The network.
        measured_on: Pictures, uint8 (n, size, size, 3). What the network makes of them gives the
            ranges of its activations, and weights and activations become int8 (Jacob et al. 2018).
            Defaults to None: everything stays float32.
    """
    settings = {} if measured_on is None else _int8(measured_on)
    with tempfile.TemporaryDirectory() as folder, keras_setup.quiet():
        path = Path(folder) / "model.tflite"
        model.export(path, format="litert", verbose=False, **settings)
        return path.read_bytes()


def _int8(pictures: np.ndarray) -> dict[str, Any]:
    import tensorflow as tf

    return {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": lambda: ([p[None].astype(np.float32)] for p in pictures),
        # An operation that int8 does not know stays float.
        "target_spec": {
            "supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        },
    }


def digest(model: "keras.Model") -> str:
    """Returns the sha256 of a network and its weights, as hexadecimal digits."""
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def cached(model: "keras.Model", cache: Path) -> bytes:
    """Exports a network as `to_litert` does, once: seconds the first time, nothing afterwards.

    Args:
        model: The network.
        cache: Folder for the files; safe to delete at any time.
    """
    path = cache / f"{digest(model)}.tflite"
    if not path.exists():
        exported = to_litert(model)
        with atomic.whole(path) as partial:
            partial.write_bytes(exported)
    return path.read_bytes()


def write(
    folder: Path,
    keras_file: Path,
    litert: bytes,
    labels: Sequence[str],
    fit: str,
    max_pixels: int,
    calibration: Mapping[str, float],
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Writes a recogniser: `model.keras`, `model.tflite`, `labels.json` and their hashes.

    Args:
        folder: Where; it appears whole.
        keras_file: The network as Keras saved it.
        litert: The network as a LiteRT file.
        labels: Species in the order of its probabilities.
        fit: How photos are made square for it: `crop`, `pad` or `stretch`.
        max_pixels: Photos that claim more are refused.
        calibration: Temperature and thresholds of its probabilities, by name.
        beside: Contents of further files, by name. Defaults to none.
    """
    with atomic.whole(folder) as partial:
        partial.mkdir()
        shutil.copyfile(keras_file, partial / "model.keras")
        for name, content in {"model.tflite": litert, **beside}.items():
            (partial / name).write_bytes(content)
        about = {
            "labels": list(labels),
            "fit": fit,
            "max_pixels": max_pixels,
            "calibration": dict(calibration),
        }
        (partial / "labels.json").write_text(json.dumps(about, indent=2) + "\n")
        checksums.seal(partial)


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


def predict_on_cpu(model: "keras.Model", pictures: np.ndarray) -> np.ndarray:
    """Predicts with a Keras network on the CPU: a GPU's float32 has fewer bits."""
    keras = keras_setup.keras()
    with keras.device("cpu"):  # a copy, for the weights of the network itself stay on the GPU
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        copy.compile(jit_compile=devices.XLA)
        return copy.predict(pictures, verbose=0)


def compare(
    left: np.ndarray,
    right: np.ndarray,
    tolerance: float = 1e-3,
    names: str = "the Keras and the LiteRT network",
) -> Agreement:
    """Proves that two networks agree.

    Args:
        left: Probabilities, (n, species).
        right: Probabilities for the same pictures, (n, species).
        tolerance: Largest difference of a probability that still is agreement.
        names: What to call both.

    Raises:
        UserError: A label differs, or a probability by more than `tolerance`.
    """
    same = int((left.argmax(axis=1) == right.argmax(axis=1)).sum())
    agreement = Agreement(len(left), same, float(np.abs(left - right).max()))
    if same != len(left) or agreement.largest_difference > tolerance:
        raise UserError(
            f"{names} disagree: the same label on {same} of {len(left)} "
            f"pictures, probabilities up to {agreement.largest_difference:.2g} apart "
            f"(at most {tolerance:g} is allowed)"
        )
    return agreement
