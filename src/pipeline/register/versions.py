"""The model registry: the versions of `animal` and what is known of each."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.core import tracking
from pipeline.core.errors import UserError
from pipeline.inference import checksums

NAME, STAGE, ALIAS = tracking.MODEL, "Production", tracking.ALIAS
RECOGNISER = Path("artifacts/recogniser")  # in a version's folder
_DESCRIPTION = "Which animal a photo shows."


@dataclass(frozen=True)
class Version:
    """A registered version of the model.

    Attributes:
        number: Its number in the registry.
        stage: `Production`, `Staging`, `Archived`, or `None` as long as it was not judged.
        made: When it was registered.
        tags: What is known of it, all as text.
    """

    number: int
    stage: str
    made: datetime
    tags: dict[str, str]

    @property
    def labels(self) -> list[str]:
        """The species it knows."""
        return json.loads(self.tags["labels"])

    @property
    def checks(self) -> list[dict]:
        """What the gate found when it last judged it; none if it was not judged yet."""
        return json.loads(self.tags.get("gate", "[]"))

    @property
    def case(self) -> str:
        """What it was judged against: champion, test photos and limits."""
        return self.tags.get("case", "")


def client() -> Any:
    """MLflow's client of the registry alone: `MlflowClient` opens the store of runs as well, which
    takes a fifth of a second that nobody who rolls back should wait."""
    ml = tracking.mlflow()
    from mlflow.tracking._model_registry.client import ModelRegistryClient

    return ModelRegistryClient(ml.get_registry_uri(), ml.get_tracking_uri())


def versions() -> list[Version]:
    """All versions, the oldest first."""
    found = client().search_model_versions(f"name = '{NAME}'")
    return sorted(map(_version, found), key=lambda version: version.number)


def get(number: int) -> Version:
    """A version by its number. Raises `UserError` if there is none."""
    known = {version.number: version for version in versions()}
    if number not in known:
        there = f"there are {', '.join(map(str, known))}" if known else "there is none at all"
        raise UserError(f"there is no version {number} of {NAME}; {there}")
    return known[number]


def find(content: str) -> Version | None:
    """The latest version with this content."""
    found = [version for version in versions() if version.tags.get("content") == content]
    return found[-1] if found else None


def champion() -> Version | None:
    """The version that serves now."""
    try:
        return _version(client().get_model_version_by_alias(NAME, ALIAS))
    except tracking.mlflow().exceptions.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise  # a registry that cannot be asked is no registry without a champion
        return None


def create(info: Any, tags: dict[str, str], description: str) -> Version:
    """Makes a version of a model that was logged.

    Args:
        info: What `mlflow.models.Model.log` gave.
        tags: What is known of it.
        description: A few paragraphs for a person.
    """
    try:
        client().create_registered_model(NAME, description=_DESCRIPTION)
    except tracking.mlflow().exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client().create_model_version(
        NAME,
        info.model_uri,
        run_id=info.run_id,
        tags=tags,
        description=description,
        model_id=info.model_id,
    )
    return _version(made)


def note(version: Version, tags: dict[str, str]) -> None:
    """Tags a version."""
    for name, value in tags.items():
        client().set_model_version_tag(NAME, version.number, name, value)


def folder(version: Version) -> Path:
    """A version's files, after a check that they are the ones that were registered.

    Raises:
        UserError: A file was altered, is missing or was added since.
    """
    uri = client().get_model_version_download_uri(NAME, version.number)
    kept = Path(tracking.mlflow().artifacts.download_artifacts(uri))
    try:
        checksums.verify(kept, version.tags.get("files_sha256", ""))
    except checksums.Altered as error:
        raise UserError(
            f"version {version.number} is not what was registered: {error}. It must not serve: go "
            "back with `animal rollback`, or bring its files back from a copy"
        ) from None
    return kept


def recogniser(model: str) -> Path:
    """The folder of a recogniser, with `model.tflite` and `labels.json`.

    Args:
        model: Such a folder, or the stage or number of a registered version.

    Raises:
        UserError: There is no such folder or version, or its files were altered.
    """
    if Path(model).is_dir():
        return Path(model)
    found = [version for version in versions() if model in (str(version.number), version.stage)]
    if not found:
        raise UserError(f"there is no folder {model}, and no version or stage {model} of {NAME}")
    return folder(found[-1]) / RECOGNISER


def _version(found: Any) -> Version:
    made = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
    return Version(int(found.version), found.current_stage, made, dict(found.tags))
