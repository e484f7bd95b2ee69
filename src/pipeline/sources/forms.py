"""Lists the forms of metadata that ingest reads, beside tables of no special form."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd
import yaml

from pipeline.core.errors import UserError
from pipeline.sources import (
    camtrap_dp,
    camtrapr,
    cells,
    coco,
    cvat,
    inaturalist_export,
    label_studio,
    megadetector,
    pascal_voc,
    wildlife_insights,
    yolo,
)


class Form(NamedTuple):
    """A form that labels or boxes come in.

    Attributes:
        name: What people call it.
        is_one: Whether a table or a document is of this form; may raise if it is not.
        read: Gives annotations (`annotations.frame`) from it, the folder that it lies in, and the
            paths of the files below that folder.
        beside: Pattern of other files that belong to it and are no photos.
    """

    name: str
    is_one: Callable[[Any], bool]
    read: Callable[[Any, Path, pd.Series], pd.DataFrame]
    beside: str | None = None


CAMTRAP_DP, COCO, MEGADETECTOR = "Camtrap DP", "COCO Camera Traps", "MegaDetector"
PASCAL_VOC = "Pascal VOC"
FORMS = (
    Form(CAMTRAP_DP, camtrap_dp.is_one, camtrap_dp.read),
    Form(COCO, coco.is_one, coco.read),
    Form(MEGADETECTOR, megadetector.is_one, megadetector.read),
    Form(PASCAL_VOC, pascal_voc.is_one, pascal_voc.read),
    Form(
        "Wildlife Insights",
        wildlife_insights.is_one,
        wildlife_insights.read,
        r"^(?:deployments|projects|cameras|sequences)\.csv$",
    ),
    Form("camtrapR record table", camtrapr.is_one, camtrapr.read),
    Form("iNaturalist export", inaturalist_export.is_one, inaturalist_export.read),
    Form("Label Studio", label_studio.is_one, label_studio.read),
    Form("CVAT", cvat.is_one, cvat.read),
    Form("YOLO", yolo.is_one, yolo.read, r"(?:^|/)labels/.*\.(?:txt|cache)$"),
)
BY_NAME = {form.name: form for form in FORMS}
_PARSERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys((".json", ".geojson"), json.loads),
    **dict.fromkeys((".yaml", ".yml"), yaml.safe_load),
    ".xml": ElementTree.fromstring,
}
SUFFIXES = (*cells.SUFFIXES, ".json", ".geojson", ".xml", "data.yaml", "data.yml")


def load(path: Path) -> Any:
    """Reads a file whose name ends with one of `SUFFIXES`.

    Returns:
        A frame of a table, the root of an XML document, or what a JSON or YAML document holds.

    Raises:
        UserError: It cannot be read; the message names the line where it is known.
    """
    suffix = path.suffix.lower()
    if suffix not in _PARSERS:
        return cells.load(path)  # which reports other spreadsheets too
    try:
        return _PARSERS[suffix](path.read_bytes())
    except (ValueError, RecursionError, ElementTree.ParseError, yaml.YAMLError) as error:
        raise invalid(path, suffix[1:].upper(), error) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def invalid(path: Path, kind: str, error: Exception) -> UserError:
    """Returns an error that a file cannot be parsed, with the line where the parser names one."""
    line = getattr(error, "lineno", None) or getattr(error, "position", [None])[0]
    if (mark := getattr(error, "problem_mark", None)) is not None:
        line = mark.line + 1
    where = f"line {line}" if line else error
    return UserError(f"{path} is not valid {kind} ({where}): fix or remove it")


def name_of(document: Any) -> str | None:
    """Returns the name of the form of a document from `load`; None where it is none of `FORMS`."""
    for form in FORMS:
        with suppress(KeyError, TypeError, AttributeError, ValueError):
            if form.is_one(document):
                return form.name
    return None
