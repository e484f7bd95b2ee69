"""Writes the `observations.csv` of a Camtrap DP package, version 1.0.2, for its photos.

https://camtrap-dp.tdwg.org/data/#observations
"""

import csv
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from pipeline.core.errors import UserError
from pipeline.predict.events import instant
from pipeline.sources import camtrap_dp as source
from pipeline.sources import paths
from pipeline.sources.labels import kind

# All the columns of the standard, in its order.
COLUMNS = [
    *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd"),
    *("observationLevel", "observationType", "cameraSetupType", "scientificName", "count"),
    *("lifeStage", "sex", "behavior", "individualID", "individualPositionRadius"),
    *("individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
    *("classificationMethod", "classifiedBy", "classificationTimestamp"),
    *("classificationProbability", "observationTags", "observationComments"),
]


class Packages:
    """The packages that photos lie in. Their tables are read as ingest reads them."""

    def __init__(self) -> None:
        self._media: dict[Path, dict[str, dict[str, str]]] = {}
        self._folders: dict[Path, Path | None] = {}

    def media(self, path: str) -> dict[str, str] | None:
        """Returns the row of a photo in its package's table of media; None where it has none.

        Raises:
            UserError: The photo lies in no package.
        """
        photo = Path(path)
        if photo.parent not in self._folders:
            self._folders[photo.parent] = next(filter(source.is_package, photo.parents), None)
        package = self._folders[photo.parent]
        if package is None:
            raise UserError(
                f"{photo} lies in no Camtrap DP package: no folder above it has a datapackage.json "
                "or a media.csv"
            )
        if package not in self._media:
            self._media[package] = _rows(package)
        inner = Path(os.path.relpath(photo, package)).as_posix()
        return self._media[package].get(unicodedata.normalize("NFC", inner))

    def check(self, paths: Iterable[str]) -> None:
        """Checks that observations can be written for photos.

        Args:
            paths: The photos' paths, as in the answers.

        Raises:
            UserError: One lies in no package, a package's tables cannot be read, or none of the
                photos is in them.
        """
        listed = [self.media(path) is not None for path in paths]
        if listed and not any(listed):
            raise UserError(
                f"none of the photos is a filePath of {', '.join(map(str, self._media))}, so "
                "there is nothing that an observation could refer to"
            )

    def locate(self, answer: dict[str, Any]) -> tuple[str | None, str | None]:
        """Returns deployment and time of an answer's photo, as its media.csv has them."""
        media = self.media(answer["path"])
        return (None, None) if media is None else (media["deploymentID"], media["timestamp"])

    def write(self, answers: Iterable[dict[str, Any]], labels: list[str], path: Path) -> None:
        """Writes an observation a photo (level `media`), then one an event (level `event`).

        Its type is animal, human, vehicle, blank (for nothing), unknown, or unclassified where the
        photo cannot be read. A photo that the package's media.csv does not list gets no
        observation: it would refer to nothing.

        Raises:
            UserError: A photo lies in no package.
        """
        unlisted = 0

        def listed() -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
            nonlocal unlisted
            for answer in answers:
                media = self.media(answer["path"])
                if media is None:
                    unlisted += 1
                else:
                    yield answer, media

        with path.open("w", encoding="utf-8", newline="") as file:
            write_observations(listed(), file)
        if unlisted:
            print(
                f"{unlisted} photos are in no media.csv, so they have no observation",
                file=sys.stderr,
            )


def write_observations(
    answers: Iterable[tuple[dict[str, Any], dict[str, str]]], file: TextIO
) -> None:
    """Writes the table of observations: those of photos, and behind them those of events.

    Args:
        answers: Each with the row of its photo in the table of media, or at least its `mediaID`,
            `deploymentID` and `timestamp`.
        file: Open for writing text.
    """
    events: dict[str, dict[str, Any]] = {}
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for answer, media in answers:
        writer.writerow(_observation(answer, media))
        _extend(events, answer, media)
    writer.writerows(events.values())


def _rows(package: Path) -> dict[str, dict[str, str]]:
    """Returns the rows of a package's table of media, by the file that each means."""
    rows = source.media(package).dropna(subset="filePath")
    files = [p.relative_to(package).as_posix() for p in package.rglob("*") if p.is_file()]
    named = paths.match(rows["filePath"], files)["path"].str.normalize("NFC")
    return dict(zip(named, rows.fillna("").to_dict("records"), strict=True))


def _row(of: str, level: str, answer: dict[str, Any], media: dict[str, str]) -> dict[str, Any]:
    """Returns what observations of a medium and of an event have alike."""
    return {
        "observationID": f"animal-{of}",
        "deploymentID": media["deploymentID"],
        "eventID": answer.get("event"),
        "eventStart": media["timestamp"],
        "eventEnd": media["timestamp"],
        "observationLevel": level,
        "classificationMethod": "machine",
        "classifiedBy": "animal",
    }


def _observation(answer: dict[str, Any], media: dict[str, str]) -> dict[str, Any]:
    row = _row(media["mediaID"], "media", answer, media) | {"mediaID": media["mediaID"]}
    if answer["error"] is not None:
        return row | {"observationType": "unclassified", "observationComments": answer["error"]}
    comment = {"observationComments": answer["reason"]} if answer["unknown"] else {}
    classified = _classified(answer["species"], answer["probability"], answer["unknown"])
    return row | classified | comment


def _extend(
    observations: dict[str, dict[str, Any]], answer: dict[str, Any], media: dict[str, str]
) -> None:
    """Adds a photo to the observation of its event."""
    event = answer.get("event")
    if event is None:
        return
    classified = _classified(
        answer["event_species"], answer["event_probability"], answer["event_unknown"]
    )
    row = observations.setdefault(event, _row(event, "event", answer, media) | classified)
    row["eventStart"] = min(row["eventStart"], media["timestamp"], key=instant)
    row["eventEnd"] = max(row["eventEnd"], media["timestamp"], key=instant)


def _classified(species: str, probability: float, unknown: bool) -> dict[str, Any]:
    if unknown:
        return {"observationType": "unknown"}
    shown = kind(species)
    return {
        "observationType": shown,
        "scientificName": species if shown == "animal" else None,
        "classificationProbability": probability,
    }
