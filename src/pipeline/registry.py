"""The model registry: versions of `animal`, what they are made of, and which one serves."""

import hashlib
import importlib.metadata
import io
import json
import logging
import shutil
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import litert, photos, tracking

NAME, STAGE, ALIAS = "animal", "Production", "champion"
_CODE = ("serving", "photos", "litert")  # what a version runs
_LEARNED_FROM = "learned_from.txt"
LEAST_TO_COMPARE = 30  # photos; fewer say nothing about a difference of some points
_REQUIREMENTS = ("mlflow-skinny", "ai-edge-litert", "pillow", "numpy", "pandas")


@dataclass(frozen=True)
class Version:
    """A registered version of the model, as far as the gate needs to know it.

    Attributes:
        number: Its number in the registry.
        labels: The species it knows.
        checks: What the gate found when it last judged it; none if it was not judged yet.
        case: What it was judged against: champion, test photos and limits.
    """

    number: int
    labels: list[str]
    checks: list[dict]
    case: str


def content(folder: Path) -> str:
    """The sha256 of what answers: network, labels, the code that serves them and what it needs."""
    digest = hashlib.sha256(" ".join(_requirements()).encode())
    code = [Path(photos.__file__).with_name(f"{name}.py") for name in _CODE]
    for file in (folder / "model.tflite", folder / "labels.json", *code):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def read_predictions(path: Path) -> pd.DataFrame:
    """Reads `predictions.csv`; a species may be called `7` or `NA`."""
    text = {name: str for name in ("photo", "path", "actual", "predicted")}
    return pd.read_csv(path, dtype=text, keep_default_na=False)


def photos_digest(predictions: pd.DataFrame) -> str:
    """The sha256 of which photos, of which species, were tested."""
    rows = sorted(predictions["photo"] + " " + predictions["actual"])
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def champion() -> Version | None:
    """The version that serves now."""
    try:
        found = _client().get_model_version_by_alias(NAME, ALIAS)
    except tracking.mlflow().exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise  # a registry that cannot be asked is no registry without a champion
        return None
    return _version(found)


def find(content: str) -> Version | None:
    """The latest version with this content."""
    found = _client().search_model_versions(f"name = '{NAME}' and tag.content = '{content}'")
    return max(map(_version, found), key=lambda version: version.number, default=None)


def register(
    folder: Path, run_id: str, tested_on: str, accuracy: float, learned_from: pd.Series
) -> Version:
    """Registers `models/final` as a new version of `animal`, which serves nobody yet.

    The version has two flavors: `python_function`, LiteRT behind `serving.py`, which needs no
    TensorFlow, and `keras`, so that `mlflow.keras.load_model` gives the Keras model.

    Args:
        folder: With `model.keras`, `model.tflite` and `labels.json`.
        run_id: The run that trained it.
        tested_on: `photos_digest` of the test.
        accuracy: On it.
        learned_from: The photos that trained and validated it.
    """
    labels = json.loads((folder / "labels.json").read_text())["labels"]
    described = {
        "content": content(folder),
        "labels": json.dumps(labels),
        "tested_on": tested_on,
        "accuracy": repr(accuracy),
        **tracking.tags("register"),
    }
    ml = tracking.mlflow()
    ml.set_experiment(tracking.EXPERIMENT)
    # Serving has the right version of all it needs; warnings about the rest only frighten.
    logging.getLogger("mlflow.utils.requirements_utils").setLevel(logging.ERROR)
    info = ml.models.Model.log(
        artifact_path=None,
        flavor=_Flavors,
        flavor_name="python_function",
        name=NAME,
        run_id=run_id if tracking.exists(run_id) else None,
        folder=folder,
        learned_from=learned_from,
    )
    _ensure_registered()
    made = _client().create_model_version(
        NAME, info.model_uri, run_id=info.run_id, tags=described, model_id=info.model_id
    )
    return _version(made)


def note(version: int, **tags: str) -> None:
    """Tags a version."""
    for name, value in tags.items():
        _client().set_model_version_tag(NAME, version, name, value)


def promote(version: int) -> None:
    """Makes a version the one that serves: stage `Production` and alias `champion` together."""
    client = _client()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # stages are deprecated, and work
        client.transition_model_version_stage(NAME, version, STAGE, archive_existing_versions=True)
    client.set_registered_model_alias(NAME, ALIAS, version)


def compare(
    version: Version, predictions: pd.DataFrame, root: Path
) -> tuple[float, float, int] | None:
    """Tests a registered version on the test photos that it has not learned from.

    After a new split it may have trained on most of them, and would win by memory. The photos go
    to the version's own network from their files; the code around it is today's.

    Args:
        version: The version.
        predictions: What a challenger answered to each test photo.
        root: The folder that the paths start from.

    Returns:
        Accuracy of the challenger, accuracy of the version, and on how many photos; None if fewer
        than 30 are left.
    """
    ml = tracking.mlflow()
    uri = f"models:/{NAME}/{version.number}"
    learned = Path(ml.artifacts.download_artifacts(f"{uri}/artifacts/recogniser/{_LEARNED_FROM}"))
    predictions = predictions[~predictions["photo"].isin(learned.read_text().split())]
    if len(predictions) < LEAST_TO_COMPARE:
        return None
    ours = float((predictions["predicted"] == predictions["actual"]).mean())
    model = ml.pyfunc.load_model(uri)
    right = 0
    for start in range(0, len(predictions), 64):
        rows = predictions.iloc[start : start + 64]
        images = pd.DataFrame({"image": [(root / path).read_bytes() for path in rows["path"]]})
        right += int((model.predict(images)["label"].to_numpy() == rows["actual"].to_numpy()).sum())
    return ours, right / len(predictions), len(predictions)


class _Flavors:
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
            (recogniser / _LEARNED_FROM).write_text("\n".join(sorted(learned_from)))
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


def _client() -> Any:
    return tracking.mlflow().MlflowClient()


def _ensure_registered() -> None:
    try:
        _client().create_registered_model(NAME, description="Which animal a photo shows.")
    except tracking.mlflow().exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version(found: Any) -> Version:
    tags = found.tags
    return Version(
        number=int(found.version),
        labels=json.loads(tags["labels"]),
        checks=json.loads(tags.get("gate", "[]")),
        case=tags.get("case", ""),
    )
