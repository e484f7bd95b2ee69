"""The model registry: the versions of `animal` and what is known of each."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.core import moved_project, tracking
from pipeline.core.errors import UserError
from pipeline.inference import checksums, recogniser_files

NAME, STAGE, ALIAS = tracking.MODEL, "Production", tracking.ALIAS
RECOGNISER = Path("artifacts/recogniser")  # in a version's folder
_DESCRIPTION = "Which animal a photo shows."


class NoSuchVersion(UserError):
    """No version has that number, stage or alias."""


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
        """The checks of the gate when it last judged it; none if it was not judged yet."""
        return json.loads(self.tags.get("gate", "[]"))

    @property
    def comparison(self) -> dict | None:
        """The comparison with the champion of that time; None if there was none."""
        return json.loads(self.tags.get("comparison", "null"))

    @property
    def case(self) -> str:
        """The champion, test photos and limits that it was judged against."""
        return self.tags.get("case", "")


def client() -> Any:
    """Returns MLflow's client of the registry, after a moved project's records were mended."""
    ml = tracking.mlflow()
    moved_project.mend(ml.get_tracking_uri())
    return ml.MlflowClient()


def versions() -> list[Version]:
    """Returns all versions, the oldest first.

    Raises:
        UserError: The registry does not answer.
    """
    with _registry_answers():
        rows = client().search_model_versions(f"name = '{NAME}'")
    return sorted(map(_version, rows), key=lambda version: version.number)


def get(number: int) -> Version:
    """Returns a version by its number. Raises `UserError` if there is none."""
    known = {version.number: version for version in versions()}
    if number not in known:
        there = f"there are {', '.join(map(str, known))}" if known else "there is none at all"
        raise UserError(f"there is no version {number} of {NAME}; {there}")
    return known[number]


def find(content: str) -> Version | None:
    """Returns the latest version with this content; None if there is none."""
    same = [version for version in versions() if version.tags.get("content") == content]
    return same[-1] if same else None


def champion() -> Version | None:
    """Returns the version that serves now; None if none does.

    Raises:
        UserError: The registry does not answer, which does not mean that it has no champion.
    """
    with _registry_answers():
        return _by_alias(ALIAS)


def create(info: Any, tags: dict[str, str], description: str) -> Version:
    """Creates a version of a model that was logged.

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
        client().set_model_version_tag(NAME, str(version.number), name, value)


def folder(version: Version) -> Path:
    """Returns a version's files, after a check that they are the ones that were registered.

    Raises:
        UserError: A file was altered, is missing or was added since; or the folder is gone.
    """
    uri = client().get_model_version_download_uri(NAME, str(version.number))
    files = _download(uri, f"version {version.number}")
    try:
        checksums.verify(files, version.tags.get("files_sha256", ""))
    except checksums.ChecksumMismatch as error:
        raise UserError(
            f"version {version.number} is not what was registered: {error}. It must not serve: go "
            "back with `animal rollback`, or bring its files back from a copy"
        ) from None
    return files


@dataclass(frozen=True)
class Located:
    """A recogniser that a person named.

    Attributes:
        recogniser: Its folder, with `model.tflite` and `labels.json`.
        version: Its number in the registry or, if it has none, the name that it goes by.
    """

    recogniser: Path
    version: str


def locate(model: str) -> Located:
    """Finds the recogniser that a command was given as `--model`.

    Args:
        model: The number, stage (`Production`) or alias (`champion`) of a registered version; a URI
            such as `models:/animal/3`, `models:/animal@champion`, `runs:/...` or `s3://...`; or a
            folder: a recogniser such as `models/final`, or a version's files.

    Raises:
        NoSuchVersion: There is nothing of that name.
        UserError: It is not a recogniser, its files were altered, or it cannot be reached.
    """
    name = model.removeprefix(f"models:/{NAME}/").removeprefix(f"models:/{NAME}@").lstrip("@")
    if name == model and Path(model).is_dir():
        return _in_folder(Path(model), model)
    if ":/" in name:
        return _in_folder(_download(name, name), name)
    known = versions()
    named = [version for version in known if name in (str(version.number), version.stage)]
    if not named and (by_alias := _by_alias(name)):
        named = [by_alias]
    if not named:
        numbers = ", ".join(str(version.number) for version in known) or "none"
        raise NoSuchVersion(
            f"there is no folder {model}, and no version, stage or alias {name} of {NAME}; "
            f"versions: {numbers}"
        )
    return Located(folder(named[-1]) / RECOGNISER, str(named[-1].number))


def _in_folder(files: Path, name: str) -> Located:
    recogniser = files
    if (files / RECOGNISER).is_dir():
        recogniser = files / RECOGNISER
        try:
            checksums.verify(files)
        except checksums.ChecksumMismatch as error:
            raise UserError(f"{name} is not what was registered: {error}") from None
    for needed in recogniser_files.NEEDED:
        if not (recogniser / needed).is_file():
            raise UserError(
                f"{name} is not a recogniser: it holds no {needed}; name a version, as `animal "
                "versions` lists them, or a folder such as models/final"
            )
    return Located(recogniser, name)


def _download(uri: str, name: str) -> Path:
    try:
        return Path(tracking.mlflow().artifacts.download_artifacts(uri))
    except (OSError, tracking.mlflow().exceptions.MlflowException) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the files of {name} cannot be read at {uri}: {first}") from None


def _by_alias(alias: str) -> Version | None:
    with tracking.suppress_absent():
        return _version(client().get_model_version_by_alias(NAME, alias))
    return None


@contextmanager
def _registry_answers() -> Iterator[None]:
    """Turns a tracking server that is gone into a sentence."""
    ml = tracking.mlflow()
    try:
        yield
    except ml.exceptions.MlflowException as error:
        address = ml.get_tracking_uri()
        if not address.startswith("http"):
            raise
        raise UserError(
            f"the tracking server {address} does not answer: {str(error).splitlines()[0]}; start "
            "it, or unset MLFLOW_TRACKING_URI"
        ) from None


def _version(row: Any) -> Version:
    made = datetime.fromtimestamp(row.creation_timestamp / 1000, UTC)
    return Version(int(row.version), row.current_stage, made, dict(row.tags))
