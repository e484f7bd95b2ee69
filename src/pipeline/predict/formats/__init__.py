"""Writes many answers to a file: a format a module; each writes a photo at a time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.predict.events import Locate, by_folder
from pipeline.predict.formats import megadetector, tables
from pipeline.predict.formats.camtrap_dp import Packages
from pipeline.predict.formats.camtrap_dp_package import Deployments

# An answer is what `Events.beside` yields; the labels are the species that a recogniser knows.
Write = Callable[[Iterable[dict[str, Any]], list[str], Path], None]
PACKAGE = "camtrap-dp-package"


@dataclass(frozen=True)
class Format:
    """A format of answers.

    Attributes:
        write: Writes them.
        locate: Tells camera and time of an answer, by which events are made.
        check: Checks the photos' paths alone, before any photo is predicted; None: all will do.
    """

    write: Write
    locate: Locate = by_folder
    check: Callable[[Iterable[str]], None] | None = None


def named(name: str, deployments: Path | None = None) -> Format:
    """Returns a format by its name.

    Args:
        name: One of those that `animal predict --format` takes.
        deployments: The table of deployments; `camtrap-dp-package` needs it.

    Raises:
        UserError: The table cannot be used, or the format has no use for it.
    """
    if deployments and name != PACKAGE:
        raise UserError(f"--deployments is for {PACKAGE}, and not for {name}")
    if name in ("camtrap-dp", PACKAGE):
        package = Packages() if name == "camtrap-dp" else Deployments(deployments)
        return Format(package.write, package.locate, package.check)
    writers: dict[str, Write] = {
        "csv": tables.csv,
        "parquet": tables.parquet,
        "json": tables.json,
        "megadetector": megadetector.write,
    }
    return Format(writers[name])
