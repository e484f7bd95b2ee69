"""Writes a recogniser as ONNX, with proof that both agree."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.export.mobile import precision
from pipeline.inference.litert import Network
from pipeline.networks import litert_export
from pipeline.networks.litert_export import Agreement


def to_onnx(recogniser: Path, path: Path) -> Agreement:
    """Writes the network as ONNX and proves that it agrees with the one in float.

    Args:
        recogniser: As in `for_phones`.
        path: The file to write.

    Raises:
        UserError: The extra `onnx` is not installed, the Keras network is not there, or ONNX
            Runtime answers otherwise than LiteRT.
    """
    for needed in ("onnxruntime", "tf2onnx"):
        if importlib.util.find_spec(needed) is None:
            raise UserError(f"{needed} is not installed: pip install -e '.[onnx]'")
    import onnxruntime

    from pipeline.networks import keras_setup

    places = (recogniser / "model.keras", recogniser.absolute().parents[1] / "data" / "model.keras")
    keras_file = next((place for place in places if place.exists()), None)
    if keras_file is None:
        raise UserError(f"there is no model.keras beside {recogniser}; ONNX is made from it")
    model = keras_setup.keras().saving.load_model(keras_file)
    network = Network(precision(recogniser, "float").read_bytes())
    pictures = _scenes(network.size)
    model(pictures[:1].astype(np.float32))  # Keras exports what was called once
    with keras_setup.quiet():
        model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (entry,) = session.get_inputs()
    (answers,) = session.run(None, {entry.name: pictures.astype(np.float32)})
    return litert_export.compare(
        answers, network(pictures), names="the ONNX and the LiteRT network"
    )


def _scenes(size: int, count: int = 64) -> np.ndarray:
    """Pictures that show nothing: colours and edges of every coarseness."""
    rng = np.random.default_rng(0)
    sides = np.geomspace(2, size, count).astype(int)
    noise = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides]
    return np.stack([np.asarray(Image.fromarray(n).resize((size, size))) for n in noise])
