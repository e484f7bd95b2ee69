"""Writes what `docker build` needs for an image that serves a version."""

from pathlib import Path

from pipeline.core.errors import UserError


def image_context(recogniser: Path, folder: Path) -> None:
    """Writes what `docker build` needs for an image that serves a registered version.

    It is what `mlflow models build-docker` builds from.

    Args:
        recogniser: Of a registered version.
        folder: Where to.

    Raises:
        UserError: It is no registered version's.
    """
    version = recogniser.absolute().parents[1]
    if not (version / "MLmodel").exists():
        raise UserError(f"{recogniser} is no registered version; say which with --model")
    from mlflow.models.flavor_backend_registry import get_flavor_backend

    backend = get_flavor_backend(str(version), docker_build=True, env_manager=None)
    backend.generate_dockerfile(str(version), str(folder))
