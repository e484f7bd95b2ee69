"""Gives a recogniser's network in float or int8, and makes what the recogniser does not carry."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.dataset.shards import Shards
from pipeline.inference.litert import Network

SPLIT = Path("data/split.parquet")
RESIZED = Path("data/resized")


def served(recogniser: Path) -> str:
    """Returns the precision of the network that a recogniser serves, `float` or `int8`."""
    from ai_edge_litert.interpreter import Interpreter

    content = (recogniser / "model.tflite").read_bytes()
    tensors = Interpreter(model_content=content).get_tensor_details()
    return "int8" if any(tensor["dtype"] == np.int8 for tensor in tensors) else "float"


def network(recogniser: Path, precision: str) -> bytes:
    """Returns a recogniser's network in a precision.

    It is the served network, or else made of the Keras network. int8 is calibrated on 64 training
    pictures of the project: a registered version carries no photos, which may be licensed or
    private.

    Args:
        recogniser: Folder that evaluate wrote, or the same of a registered version.
        precision: `float` or `int8`.

    Returns:
        The contents of a `.tflite` file.

    Raises:
        UserError: The Keras network or the training pictures are not there, or the pictures are
            of another size than the network takes.
    """
    if served(recogniser) == precision:
        return (recogniser / "model.tflite").read_bytes()
    pictures = None
    if precision == "int8":
        size = Network((recogniser / "model.tflite").read_bytes(), workers=1).size
        pictures = _calibration_pictures(size)
    from pipeline.networks import backbones, keras_setup, litert_export, served_outputs

    model = keras_setup.keras().saving.load_model(keras_file(recogniser))
    imagenet = json.loads((recogniser / "labels.json").read_text()).get("imagenet")
    classifier = imagenet and backbones.get(imagenet["of"]).classifier()  # pyright: ignore[reportOptionalCall] (a version names a backbone that has one)
    return litert_export.to_litert(served_outputs.answering(model, classifier), pictures)


def keras_file(recogniser: Path) -> Path:
    """Finds the Keras network of a recogniser: in its folder, or in its registered version.

    Raises:
        UserError: There is none.
    """
    places = (recogniser / "model.keras", recogniser.absolute().parents[1] / "data" / "model.keras")
    for place in places:
        if place.exists():
            return place
    raise UserError(
        f"there is no model.keras in {recogniser} or in its version, which this export is made "
        "from; take another one with --model"
    )


def _calibration_pictures(size: int) -> np.ndarray:
    missing = [str(path) for path in (SPLIT, RESIZED / "index.parquet") if not path.exists()]
    if missing:
        raise UserError(
            f"int8 is calibrated on training pictures, and there is no {' and no '.join(missing)}: "
            "run `dvc repro split` or `dvc pull`, or export in float alone with --float"
        )
    from pipeline.networks import litert_export

    shards = Shards(RESIZED)
    if shards.size != size:
        raise UserError(
            f"the pictures in {RESIZED} have {shards.size} px and this network takes {size} px: "
            f"set resize.size to {size} and run `dvc repro split`, or export in float alone with "
            "--float"
        )
    return litert_export.calibration_pictures(shards, pd.read_parquet(SPLIT))
