"""Writes a Camtrap DP package, version 1.0.2, of photos that are in none: a zip of its four files.

https://camtrap-dp.tdwg.org. The photos themselves stay where they are; the package names them
relative to the folder that the zip lies in.
"""

import csv
import json
import mimetypes
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.predict.formats import camtrap_dp
from pipeline.sources import cells, ids
from pipeline.sources.labels import kind

_REQUIRED = ("deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd")
# All the columns of the standard, in its order.
_DEPLOYMENT = [
    *("deploymentID", "locationID", "locationName", "latitude", "longitude"),
    *("coordinateUncertainty", "deploymentStart", "deploymentEnd", "setupBy", "cameraID"),
    *("cameraModel", "cameraDelay", "cameraHeight", "cameraDepth", "cameraTilt", "cameraHeading"),
    *("detectionDistance", "timestampIssues", "baitUse", "featureType", "habitat"),
    *("deploymentGroups", "deploymentTags", "deploymentComments"),
]
_MEDIA = [
    *("mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic"),
    *("fileName", "fileMediatype", "exifData", "favorite", "mediaComments"),
]
_TABLES = ("deployments", "media", "observations")
_SCHEMAS = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2"


class Deployments:
    """The cameras of a package, each of them at one place for one period.

    Args:
        path: A table of them, in the columns of Camtrap DP; None: there is none.

    Raises:
        UserError: It is missing, lacks a required column or cell, or has an ID twice, a place that
            is not on Earth, or a time without its zone.
    """

    def __init__(self, path: Path | None):
        if path is None:
            raise UserError(
                "a Camtrap DP package says where and when its cameras stood: name a table with "
                f"the columns {', '.join(_REQUIRED)} by --deployments"
            )
        rows = cells.load(path).astype("str")
        if missing := [name for name in _REQUIRED if name not in rows]:
            raise UserError(f"{path} has no column {', '.join(missing)}")
        rows = rows.reindex(columns=_DEPLOYMENT)
        rows["deploymentID"] = ids.plain(rows["deploymentID"])
        for name in _REQUIRED:
            if rows[name].isna().any():
                raise UserError(f"{path}: a deployment has no {name}")
        if (again := rows["deploymentID"].duplicated()).any():
            raise UserError(f"{path} has deploymentID {rows['deploymentID'][again].iloc[0]} twice")
        for name, most in (("latitude", 90), ("longitude", 180)):
            right = pd.to_numeric(rows[name], errors="coerce").between(-most, most)
            if not right.all():
                value = rows[name][~right].iloc[0]
                raise UserError(f"{path}: {name} is {value}, not a number from -{most} to {most}")
        for name in ("deploymentEnd", "deploymentStart"):
            times = [_time(path, name, text) for text in rows[name]]
            rows[name] = [_written(time) for time in times]
        self.rows = rows
        zones = [time.tzinfo for time in times]  # that its clock is in, when it starts
        self._zones = dict(zip(rows["deploymentID"], zones, strict=True))

    def of(self, path: str) -> str | None:
        """Returns the ID of a photo's deployment: the name of the deepest such folder above it."""
        folders = reversed(PurePosixPath(Path(path).as_posix()).parts[:-1])
        return next((folder for folder in folders if folder in self._zones), None)

    def check(self, paths: Iterable[str]) -> None:
        """Checks that each photo is of a deployment.

        Raises:
            UserError: One is not.
        """
        for path in paths:
            if self.of(path) is None:
                known = ", ".join(list(self._zones)[:5])
                raise UserError(
                    f"{path} lies in no folder named after a deployment of --deployments ({known})"
                )

    def locate(self, answer: dict[str, Any]) -> tuple[str | None, str | None]:
        """Returns deployment and time of an answer's photo; None where one is not known."""
        deployment, taken_at = self.of(answer["path"]), answer["taken_at"]
        if deployment is None or taken_at is None:
            return deployment, None
        time = datetime.fromisoformat(taken_at).replace(tzinfo=self._zones[deployment])
        return deployment, _written(time)

    def write(self, answers: Iterable[dict[str, Any]], labels: list[str], path: Path) -> None:
        """Writes the zip: `datapackage.json` and tables of deployments, media and observations.

        A photo without a time is in none of them, as the standard wants one of each.
        """
        untimed, species = 0, set()

        def timed() -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
            """Yields answers with their media, and writes the table of media meanwhile."""
            nonlocal untimed
            for answer in answers:
                deployment, timestamp = self.locate(answer)
                if deployment is None or timestamp is None:
                    untimed += 1
                    continue
                row = _medium(answer["path"], deployment, timestamp)
                media.writerow(row)
                if answer["error"] is None:
                    species.add(answer["species"])
                yield answer, row

        with tempfile.TemporaryDirectory() as folder:
            names = [Path(folder, f"{name}.csv") for name in _TABLES]
            self.rows.to_csv(names[0], index=False, lineterminator="\n")
            opened = partial(Path.open, mode="w", encoding="utf-8", newline="")
            with opened(names[1]) as of_media, opened(names[2]) as of_observations:
                media = csv.DictWriter(of_media, _MEDIA, lineterminator="\n")
                media.writeheader()
                camtrap_dp.write_observations(timed(), of_observations)
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
                for name in names:
                    package.write(name, name.name)
                described = json.dumps(self._described(species), indent=2, ensure_ascii=False)
                package.writestr("datapackage.json", f"{described}\n")
        if untimed:
            print(f"{untimed} photos have no time, so the package lacks them", file=sys.stderr)

    def _described(self, species: set[str]) -> dict[str, Any]:
        """Returns `datapackage.json`, with placeholders for what only a person knows."""
        longitude, latitude = (self.rows[name].astype(float) for name in ("longitude", "latitude"))
        west, south, east, north = longitude.min(), latitude.min(), longitude.max(), latitude.max()
        corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        animals = sorted(name for name in species if kind(name) == "animal")
        return {
            "profile": f"{_SCHEMAS}/camtrap-dp-profile.json",
            "name": "animal-predictions",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "contributors": [{"title": "unnamed", "role": "contributor"}],
            "project": {
                "title": "unnamed",
                "samplingDesign": "opportunistic",
                "captureMethod": ["activityDetection"],
                "individualAnimals": False,
                "observationLevel": ["media", "event"],
            },
            "spatial": {"type": "Polygon", "coordinates": [corners]},
            "temporal": {
                "start": self.rows["deploymentStart"].str[:10].min(),
                "end": self.rows["deploymentEnd"].str[:10].max(),
            },
            "taxonomic": [{"scientificName": name} for name in animals],
            "resources": [
                {
                    "name": name,
                    "path": f"{name}.csv",
                    "profile": "tabular-data-resource",
                    "format": "csv",
                    "mediatype": "text/csv",
                    "encoding": "utf-8",
                    "schema": f"{_SCHEMAS}/{name}-table-schema.json",
                }
                for name in _TABLES
            ],
        }


def _medium(path: str, deployment: str, timestamp: str) -> dict[str, str]:
    """Returns the row of a photo in the table of media."""
    return {
        "mediaID": path,
        "deploymentID": deployment,
        "timestamp": timestamp,
        "filePath": path,
        "filePublic": "false",
        "fileName": PurePosixPath(path).name,
        "fileMediatype": _media_type(path),
    }


def _media_type(path: str) -> str:
    form = Image.registered_extensions().get(PurePosixPath(path).suffix.lower(), "")
    return Image.MIME.get(form) or mimetypes.guess_type(path)[0] or "image/*"


def _time(path: Path, column: str, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise UserError(
            f"{path}: {column} is {text!r}, not a time with its zone such as "
            "2024-05-01T10:00:00+02:00"
        )
    return time


def _written(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
