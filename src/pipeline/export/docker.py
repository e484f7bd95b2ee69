"""Writes the context of `docker build` for an image that serves a version."""

from pathlib import Path

from pipeline.core.errors import UserError


def image_context(recogniser: Path, folder: Path) -> None:
    """Writes the context of `docker build` for an image that serves a registered version.

    `mlflow models build-docker` builds from the same.

    Args:
        recogniser: The folder of that name in a registered version.
        folder: Where to write it.

    Raises:
        UserError: The folder lies in no registered version.
    """
    version = recogniser.absolute().parents[1]
    if not (version / "MLmodel").exists():
        raise UserError(f"{recogniser} is no registered version; name one: --model 3")
    from mlflow.models.flavor_backend_registry import get_flavor_backend

    backend = get_flavor_backend(str(version), docker_build=True, env_manager=None)
    backend.generate_dockerfile(str(version), str(folder))
