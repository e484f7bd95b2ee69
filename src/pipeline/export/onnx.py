"""Writes a recogniser as ONNX, with proof that both agree."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.export import precision
from pipeline.inference.litert import Network
from pipeline.networks import litert_export
from pipeline.networks.litert_export import Agreement


def require_installed() -> None:
    """Raises a `UserError` unless the extra `onnx` is installed."""
    for package in ("onnxruntime", "tf2onnx"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{package} is not installed: pip install -e '.[onnx]'")


def to_onnx(recogniser: Path, path: Path, float_network: bytes) -> Agreement:
    """Writes the network as ONNX and proves that it agrees with the one in float.

    Args:
        recogniser: Folder that evaluate wrote, or the same of a registered version.
        path: The file to write.
        float_network: The recogniser's network in float, as the contents of a `.tflite` file.

    Returns:
        How far ONNX Runtime and LiteRT differ on pictures of every coarseness.

    Raises:
        UserError: The extra `onnx` is not installed, the Keras network is not there, or ONNX
            Runtime answers otherwise than LiteRT.
    """
    require_installed()
    import onnxruntime

    from pipeline.networks import keras_setup

    model = keras_setup.keras().saving.load_model(precision.keras_file(recogniser))
    network = Network(float_network)
    pictures = _noise(network.size)
    model(pictures[:1].astype(np.float32))  # Keras exports what was called once
    with keras_setup.quiet():
        model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (entry,) = session.get_inputs()
    (probabilities,) = session.run(None, {entry.name: pictures.astype(np.float32)})
    return litert_export.compare(
        probabilities, network(list(pictures)), names="the ONNX and the LiteRT network"
    )


def _noise(size: int, count: int = 64) -> np.ndarray:
    """Draws random colours and edges of every coarseness, uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(0)
    sides = np.geomspace(2, size, count).astype(int)
    small = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides]
    return np.stack([np.asarray(Image.fromarray(s).resize((size, size))) for s in small])
