"""What a registered version is made of, and how it is put together."""

import hashlib
import importlib.metadata
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import litert, photos, tracking

LEARNED_FROM = "learned_from.txt"
_CODE = ("serving", "photos", "litert")  # what a version runs
_REQUIREMENTS = ("mlflow-skinny", "ai-edge-litert", "pillow", "numpy", "pandas")


def content(folder: Path) -> str:
    """The sha256 of what answers: network, labels, the code that serves them and what it needs."""
    digest = hashlib.sha256(" ".join(_requirements()).encode())
    code = [Path(photos.__file__).with_name(f"{name}.py") for name in _CODE]
    for file in (folder / "model.tflite", folder / "labels.json", *code):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class Flavors:
    """What `mlflow.models.Model.log` calls a flavor module; this one saves two flavors."""

    @staticmethod
    def save_model(path: str, mlflow_model: Any, folder: Path, learned_from: pd.Series) -> None:
        ml = tracking.mlflow()
        from pipeline import serving  # after MLflow was told to be quiet

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
            for needed in (photos, litert):
                shutil.copy(needed.__file__, code)
            recogniser.mkdir()
            for name in ("model.tflite", "labels.json"):
                shutil.copyfile(folder / name, recogniser / name)
            (recogniser / LEARNED_FROM).write_text("\n".join(sorted(learned_from)))
            ml.pyfunc.save_model(
                path,
                python_model=serving.__file__,
                code_paths=[str(code)],
                artifacts={"recogniser": str(recogniser)},
                mlflow_model=mlflow_model,
                signature=_signature(),
                input_example=_example(),
                pip_requirements=_requirements(),
            )
        (Path(path) / "data").mkdir()
        shutil.copyfile(folder / "model.keras", Path(path) / "data" / "model.keras")


def _requirements() -> list[str]:
    return [f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS]


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Array, ColSpec, Object, Property, Schema

    answer = [Property("label", "string"), Property("probability", "double")]
    return ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]),
        outputs=Schema(
            [
                ColSpec("string", "label"),
                ColSpec("double", "probability"),
                ColSpec(Array(Object(answer)), "top3"),
            ]
        ),
    )


def _example() -> pd.DataFrame:
    """A request that shows nobody's photo."""
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    file = io.BytesIO()
    Image.fromarray(np.stack([ramp, ramp.T, ramp[::-1]], axis=-1)).save(file, "JPEG")
    return pd.DataFrame({"image": [file.getvalue()]})
