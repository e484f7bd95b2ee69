"""The model registry: the gate, registration and promotion."""

import hashlib
import importlib.metadata
import io
import json
import logging
import shutil
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import litert, params, photos, tracking

NAME, STAGE, ALIAS = "animal", "Production", "champion"
_CODE = ("serving", "photos", "litert")  # what a version runs
_LEARNED_FROM = "learned_from.txt"
_LEAST_TO_COMPARE = 30  # photos; fewer say nothing about a difference of some points
_REQUIREMENTS = ("mlflow-skinny", "ai-edge-litert", "pillow", "numpy", "pandas")


@dataclass(frozen=True)
class Check:
    """One condition of the gate: what was measured, what it must reach, and whether it does."""

    name: str
    measured: float | None
    limit: float | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class Version:
    """A registered version of the model, as far as the gate needs to know it."""

    number: int
    content: str
    labels: list[str]
    tested_on: str
    accuracy: float
    checks: list[dict]


def gate(
    accuracy: float,
    labels: list[str],
    champion: Version | None,
    rivals: tuple[float, float, int] | None,
    min_accuracy: float,
    max_drop: float,
) -> list[Check]:
    """Decides whether a model may serve.

    Args:
        accuracy: Of the challenger, on its test photos.
        labels: Species the challenger knows.
        champion: The version that serves now; None if none does.
        rivals: Accuracy of the challenger and of the champion on the same photos that neither has
            learned from, and how many those are; None if the two cannot be compared.
        min_accuracy: `register.min_accuracy`.
        max_drop: `register.max_drop`.

    Returns:
        The checks; the model may serve if all passed.
    """
    enough = accuracy >= min_accuracy
    word = "reaches" if enough else "is below"
    floor = f"test accuracy {accuracy:.4f} {word} register.min_accuracy {min_accuracy:g}"
    checks = [Check("min_accuracy", accuracy, min_accuracy, enough, floor)]
    if champion is None:
        return [
            *checks,
            Check("max_drop", None, None, True, "there is no champion yet"),
        ]
    named = f"champion, version {champion.number},"
    if rivals is None:
        others = sorted(set(labels) ^ set(champion.labels))
        only_one = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
        why = (
            f"knows other species ({only_one} known to one of the two)"
            if only_one
            else f"has learned from all but a few (under {_LEAST_TO_COMPARE}) of these test photos"
        )
        reason = f"the {named} {why}; they cannot be compared, so the floors alone decide"
        return [*checks, Check("max_drop", None, None, True, reason)]
    ours, theirs, photos = rivals
    held = ours >= theirs - max_drop
    word = "not worse" if held else "worse"
    reason = (
        f"accuracy {ours:.4f} is {word} than {theirs:.4f} of the {named} on the same {photos} "
        f"photos, less register.max_drop {max_drop:g}"
    )
    return [*checks, Check("max_drop", ours, theirs - max_drop, held, reason)]


def decide(
    folder: Path,
    metrics: dict,
    predictions: pd.DataFrame,
    split: pd.DataFrame,
    root: Path,
    limits: params.Register,
) -> dict[str, Any]:
    """Registers a recogniser if this very one is not there, and promotes it if it passes the gate.

    Args:
        folder: `models/final`.
        metrics: What evaluate found.
        predictions: What it answered to each test photo, as `read_predictions` gives it.
        split: What split wrote.
        root: The folder that the photos' paths start from.
        limits: The params of the gate.

    Returns:
        version, outcome (in words), promoted, and the checks with their reasons.
    """
    accuracy, tested_on = metrics["test"]["accuracy"], photos_digest(predictions)
    challenger = find(content(folder))
    new = challenger is None
    if new:
        learned = split.loc[split["split"] != "test", "photo"]
        challenger = register(folder, metrics["run_id"], tested_on, accuracy, learned)
    now = champion()
    if now is not None and now.number == challenger.number:
        outcome = "serves already; nothing to do"
        return {"version": now.number, "outcome": outcome, "promoted": True, "checks": now.checks}
    rivals = None
    if now is not None and set(now.labels) == set(challenger.labels):
        rivals = compare(now, predictions, root)
    checks = gate(accuracy, challenger.labels, now, rivals, limits.min_accuracy, limits.max_drop)
    promoted = all(check.passed for check in checks)
    found = [asdict(check) for check in checks]
    _client().set_model_version_tag(NAME, challenger.number, "gate", json.dumps(found))
    if promoted:
        promote(challenger.number)
    outcome = "promoted to Production" if promoted else "does not serve; the champion stays"
    return {
        "version": challenger.number,
        "outcome": f"{'registered' if new else 'was registered before'}; {outcome}",
        "promoted": promoted,
        "checks": found,
    }


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
    if len(predictions) < _LEAST_TO_COMPARE:
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
        content=tags["content"],
        labels=json.loads(tags["labels"]),
        tested_on=tags["tested_on"],
        accuracy=float(tags["accuracy"]),
        checks=json.loads(tags.get("gate", "[]")),
    )
