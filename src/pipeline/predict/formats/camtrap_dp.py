"""The `observations.csv` of a Camtrap DP package, version 1.0, for the photos of that package.

https://camtrap-dp.tdwg.org/data/#observations
"""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError

# All the columns of the standard, in its order.
_COLUMNS = [
    *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd"),
    *("observationLevel", "observationType", "cameraSetupType", "scientificName", "count"),
    *("lifeStage", "sex", "behavior", "individualID", "individualPositionRadius"),
    *("individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
    *("classificationMethod", "classifiedBy", "classificationTimestamp"),
    *("classificationProbability", "observationTags", "observationComments"),
]


def write(answers: Iterable[dict[str, Any]], labels: list[str], path: Path) -> None:
    """Writes an observation a photo: of an animal, of something `unknown`, or
    `unclassified` where nothing can be read.

    A photo that the package's media.csv does not know gets none: it would refer to nothing.

    Raises:
        UserError: A photo lies in no package.
    """
    unlisted = 0
    packages: dict[Path, dict[str, dict[str, str]]] = {}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for answer in answers:
            photo = Path(answer["path"])
            package = next((p for p in photo.parents if (p / "media.csv").is_file()), None)
            if package is None:
                raise UserError(
                    f"{photo} lies in no Camtrap DP package: no folder above it has a media.csv"
                )
            if package not in packages:
                packages[package] = _media(package / "media.csv")
            media = packages[package].get(photo.relative_to(package).as_posix())
            if media is None:
                unlisted += 1
            else:
                writer.writerow(_observation(answer, media))
    if unlisted:
        print(
            f"{unlisted} photos are in no media.csv, so they have no observation", file=sys.stderr
        )


def _media(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["filePath"]: row for row in csv.DictReader(file)}


def _observation(answer: dict[str, Any], media: dict[str, str]) -> dict[str, Any]:
    row = {
        "observationID": f"animal-{media['mediaID']}",
        "deploymentID": media["deploymentID"],
        "mediaID": media["mediaID"],
        "eventStart": media["timestamp"],
        "eventEnd": media["timestamp"],
        "observationLevel": "media",
        "classificationMethod": "machine",
        "classifiedBy": "animal",
    }
    if answer["error"] is not None:
        return row | {"observationType": "unclassified", "observationComments": answer["error"]}
    if answer["unknown"]:
        return row | {"observationType": "unknown"}
    return row | {
        "observationType": "animal",
        "scientificName": answer["species"],
        "classificationProbability": answer["probability"],
    }
