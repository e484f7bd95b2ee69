"""Identifies the code and the libraries that turn the bytes of photos into pixels."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pipeline.inference import decoding, exif, truncation

_MODULES = (decoding, exif, truncation)
_LIBRARIES = ("pillow", "numpy", "pillow-heif")


def digest(others: Iterable[str] = ()) -> str:
    """Returns a digest that changes when the same photos may give other pixels or another time.

    A cache of what was decoded has it in its key.

    Args:
        others: More files of code that the cached results depend on. Defaults to none.

    Returns:
        64 hexadecimal digits.
    """
    files = [*(module.__file__ for module in _MODULES), *others]
    code = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]
    content = [*code, *map(_version, _LIBRARIES)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _version(library: str) -> str | None:
    """Returns the version of a library; None if it is not installed."""
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(library)
    return None
