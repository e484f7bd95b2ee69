"""What a registered version is made of, and how it is put together."""

import hashlib
import importlib.metadata
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import photos, tracking
from pipeline.calibration import Calibration

LEARNED_FROM = "learned_from.txt"
_CODE = ("serving", "calibration", "desk", "explain", "litert", "photos", "recognition")
_REQUIREMENTS = ("mlflow-skinny", "ai-edge-litert", "pillow", "numpy", "pandas")


def content(folder: Path) -> str:
    """The sha256 of what answers: network, labels, the code that serves them and what it needs."""
    digest = hashlib.sha256(" ".join(_requirements()).encode())
    for file in (folder / "model.tflite", folder / "labels.json", *_code()):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class Flavors:
    """What `mlflow.models.Model.log` calls a flavor module; this one saves two flavors."""

    @staticmethod
    def save_model(path: str, mlflow_model: Any, folder: Path, learned_from: pd.Series) -> None:
        ml = tracking.mlflow()
        mlflow_model.add_flavor(
            "keras",
            data="data",
            keras_version=importlib.metadata.version("keras"),
            keras_backend="tensorflow",
            save_exported_model=False,
        )
        with tempfile.TemporaryDirectory() as temporary:
            code, recogniser = Path(temporary) / "pipeline", Path(temporary) / "recogniser"
            code.mkdir()
            (code / "__init__.py").touch()
            for file in _code()[1:]:
                shutil.copy(file, code)
            recogniser.mkdir()
            for file in folder.iterdir():
                if file.suffix != ".keras":
                    shutil.copyfile(file, recogniser / file.name)
            (recogniser / LEARNED_FROM).write_text("\n".join(sorted(learned_from)))
            ml.pyfunc.save_model(
                path,
                python_model=str(_code()[0]),
                code_paths=[str(code)],
                artifacts={"recogniser": str(recogniser)},
                mlflow_model=mlflow_model,
                signature=_signature(folder),
                input_example=_example(),
                pip_requirements=_requirements(),
            )
        (Path(path) / "data").mkdir()
        shutil.copyfile(folder / "model.keras", Path(path) / "data" / "model.keras")


def _code() -> list[Path]:
    """The files that a version runs: `serving.py` and what it imports."""
    return [Path(__file__).with_name(f"{name}.py") for name in _CODE]


def _requirements() -> list[str]:
    """What a version needs; HEIC too, if the photos it learned from could be HEIC."""
    names = [*_REQUIREMENTS, *(["pillow-heif"] if "HEIF" in photos.FORMATS else [])]
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def _signature(folder: Path) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, Object, ParamSchema, ParamSpec, Property, Schema

    from pipeline import serving  # after MLflow was told to be quiet

    about = json.loads((folder / "labels.json").read_text())
    params = serving.defaults(Calibration(**about["calibration"]))
    types = {int: "long", float: "double", bool: "boolean", str: "string"}
    likely = [Property("species", "string"), Property("probability", "double")]
    return ModelSignature(
        # A string that is base64 or, where bytes can be sent, bytes. As `binary`, MLflow would
        # decode JSON itself, and refuse all rows without a word which one is wrong.
        inputs=Schema([ColSpec("string", "image")]),
        outputs=Schema(
            [
                ColSpec("string", "species"),
                ColSpec("double", "probability"),
                ColSpec(Array(Object(likely)), "top"),
                ColSpec("boolean", "unknown"),
                ColSpec(Array("string"), "prediction_set"),
                ColSpec("string", "version"),
            ]
        ),
        params=ParamSchema(
            [ParamSpec(name, types[type(value)], value) for name, value in params.items()]
        ),
    )


def _example() -> pd.DataFrame:
    """A request that shows nobody's photo."""
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    file = io.BytesIO()
    Image.fromarray(np.stack([ramp, ramp.T, ramp[::-1]], axis=-1)).save(file, "JPEG")
    return pd.DataFrame({"image": [file.getvalue()]})
