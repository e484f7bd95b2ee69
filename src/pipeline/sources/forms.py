"""The forms of other programs' exports that ingest knows, beside COCO and Camtrap DP."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pandas as pd
import yaml

from pipeline.core.errors import UserError
from pipeline.sources import (
    camtrapr,
    cvat,
    inaturalist_export,
    label_studio,
    table,
    wildlife_insights,
    yolo,
)


class Form(NamedTuple):
    """A form that labels come in.

    Attributes:
        name: What people call it.
        is_one: Whether a table or a document is of this form.
        read: Gives annotations from it, the folder that it lies in, and the paths of the files
            below that folder.
        beside: Pattern of other files that belong to it and are no photos.
    """

    name: str
    is_one: Callable[[Any], bool]
    read: Callable[[Any, Path, pd.Series], pd.DataFrame]
    beside: str | None = None


FORMS = (
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
SUFFIXES = (*table.SUFFIXES, ".json", ".xml", "data.yaml", "data.yml")


def load(path: Path) -> Any:
    """Reads a file whose name ends with one of `SUFFIXES`.

    Returns:
        A frame of a table, the root of an XML document, or what a JSON or YAML document holds.

    Raises:
        UserError: It cannot be read; names the line where that is known.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".xml", ".yaml", ".yml"):
        return table.load(path)  # which also says what to do about other spreadsheets
    try:
        if suffix == ".xml":
            return ElementTree.fromstring(path.read_bytes())
        if suffix == ".json":
            return json.loads(path.read_bytes())
        return yaml.safe_load(path.read_bytes())
    except (ValueError, RecursionError, ElementTree.ParseError, yaml.YAMLError) as error:
        kind = suffix[1:].upper()
        raise UserError(f"{path} is no {kind}: {error}; mend it, or take it away") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def known(document: Any) -> Form | None:
    """The form of what `load` gave; None where it is none of `FORMS`."""
    return next((form for form in FORMS if form.is_one(document)), None)
