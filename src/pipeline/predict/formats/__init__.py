"""Writes many answers to a file: a format a module; each writes a photo at a time."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pipeline.predict.events import Locate
from pipeline.predict.formats import camtrap_dp, megadetector, tables

# An answer is what `Events.beside` yields; the labels are the species that a recogniser knows.
Write = Callable[[Iterable[dict[str, Any]], list[str], Path], None]
FORMATS: dict[str, Write] = {
    "csv": tables.csv,
    "parquet": tables.parquet,
    "json": tables.json,
    "megadetector": megadetector.write,
    "camtrap-dp": camtrap_dp.write,
}
# Where camera and time are not those of `events.by_folder`.
LOCATORS: dict[str, Callable[[], Locate]] = {"camtrap-dp": camtrap_dp.locator}
# Checks of the photos' paths alone, which run before any photo is predicted.
CHECKS: dict[str, Callable[[Iterable[str]], None]] = {"camtrap-dp": camtrap_dp.check}
