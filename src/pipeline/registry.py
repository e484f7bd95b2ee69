"""The model registry: versions of `animal`, what they are made of, and which one serves."""

import hashlib
import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import packaging, tracking
from pipeline.errors import UserError

NAME, STAGE, ALIAS = "animal", "Production", "champion"
LEAST_TO_COMPARE = 30  # photos; fewer say nothing about a difference of some points


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
        "content": packaging.content(folder),
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
        flavor=packaging.Flavors,
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


def recogniser(model: str) -> Path:
    """The folder of a recogniser, with `model.tflite` and `labels.json`.

    Args:
        model: Such a folder, or the stage or number of a registered version.

    Raises:
        UserError: There is no such folder or version.
    """
    if Path(model).is_dir():
        return Path(model)
    ml = tracking.mlflow()
    uri = f"models:/{NAME}/{model}"
    try:
        return Path(ml.artifacts.download_artifacts(f"{uri}/artifacts/recogniser"))
    except ml.exceptions.MlflowException as error:
        raise UserError(f"there is no folder {model} and no model {uri}: {error}") from None


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
    learned = Path(
        ml.artifacts.download_artifacts(f"{uri}/artifacts/recogniser/{packaging.LEARNED_FROM}")
    )
    predictions = predictions[~predictions["photo"].isin(learned.read_text().split())]
    if len(predictions) < LEAST_TO_COMPARE:
        return None
    ours = float((predictions["predicted"] == predictions["actual"]).mean())
    model = ml.pyfunc.load_model(uri)
    right = 0
    for start in range(0, len(predictions), 64):
        rows = predictions.iloc[start : start + 64]
        images = pd.DataFrame({"image": [(root / path).read_bytes() for path in rows["path"]]})
        answered = model.predict(images)["species"]
        right += int((answered.to_numpy() == rows["actual"].to_numpy()).sum())
    return ours, right / len(predictions), len(predictions)


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
