"""Reads Camtrap DP 1.0 to 1.0.2: a data package of deployments, media and observations.

https://camtrap-dp.tdwg.org/data. Observations are of one medium, or of an event: of all media of a
deployment from its start to its end. Columns that the standard leaves optional may be missing.
"""

import json
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.dataset import near_duplicates
from pipeline.sources import annotations, cells, ids

_COLUMNS = {
    "deployments": ["deploymentID", "locationID", "latitude", "longitude"],
    "media": [*("mediaID", "deploymentID", "captureMethod", "timestamp", "filePath")],
    "observations": [
        *("deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationType"),
        *("scientificName", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
    ],
}
_REQUIRED = {  # what nothing can be joined without
    "deployments": {"deploymentID"},
    "media": {"mediaID", "deploymentID", "timestamp", "filePath"},
    "observations": {"deploymentID", "observationType"},
}
_IDS = ("deploymentID", "mediaID", "eventID", "locationID")
_NOBODY = {"blank": "blank", "human": "person_or_vehicle", "vehicle": "person_or_vehicle"}
_DESCRIPTION = "datapackage.json"
_VERSION = re.compile(r"camtrap-dp/v?(\d+)(\.[\w.-]+)?")
_ZONE = r"(?:[+-]\d\d:?\d\d|Z)\s*$"


def is_one(document: Any) -> bool:
    """Returns whether a JSON document describes such a package."""
    return isinstance(document, dict) and set(_COLUMNS) <= {
        resource.get("name") for resource in document.get("resources") or ()
    }


def is_package(folder: Path) -> bool:
    """Returns whether a folder holds a package, or at least its table of media."""
    return (folder / _DESCRIPTION).is_file() or (folder / "media.csv").is_file()


def media(folder: Path) -> pd.DataFrame:
    """Reads a package's table of media, each cell a text or null.

    Raises:
        UserError: It is missing, cannot be read, or is of a version before 1.0.
    """
    description = folder / _DESCRIPTION
    if not description.is_file():
        return _loaded("media", [folder / "media.csv"])
    try:
        document = json.loads(description.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{description} is not valid JSON: {error}") from None
    if not is_one(document):
        raise UserError(f"{description} does not describe a Camtrap DP package")
    _require_version(folder, document)
    return _table(folder, document, "media")


def tables(document: dict) -> list[str]:
    """Returns the paths of all tables of a package, below its folder."""
    return [str(path) for one in document["resources"] for path in _paths(one)]


def read(document: dict, folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the observations of a package, each joined with the media that it is of.

    A medium is judged by its own observations where it has any, and else by those of its events;
    a frame of a time lapse not by an event that a trigger began.
    Its group is its event, joined with others that share media; its location is that of its
    deployment (`locationID`, else its coordinates to some 10 m, else `deploymentID`). Its time is
    the camera's.

    Raises:
        UserError: A table is missing, or the package is of a version before 1.0.
    """
    _require_version(folder, document)
    deployments, media, observations = (_table(folder, document, name) for name in _COLUMNS)
    media = media.drop_duplicates("mediaID").reset_index(drop=True)
    own = observations[observations["mediaID"].notna()]
    numbers = pd.Series(media.index, index=media["mediaID"])
    own = own.assign(medium=own["mediaID"].map(numbers)).dropna(subset="medium")
    shared = _of_events(media, observations[observations["mediaID"].isna()])
    every = pd.concat([own, shared], ignore_index=True).astype({"medium": "int64"})
    event = every["deploymentID"] + "/" + every["eventID"]
    number = near_duplicates.linked(every["medium"], event)
    group = event.groupby(number).transform("min").groupby(every["medium"]).first()
    judged = pd.concat([own, shared[~shared["medium"].isin(own["medium"])]])
    rows = media.join(judged.drop(columns=["mediaID", "deploymentID"]).set_index("medium"))
    kind = rows["observationType"].str.strip().str.lower()
    return annotations.frame(
        path=rows["filePath"],
        species=rows["scientificName"].where(~kind.isin(list(_NOBODY)), kind),
        reason=kind.map(_NOBODY),
        group=rows.index.map(group),
        location=rows["deploymentID"].map(_places(deployments)).fillna(rows["deploymentID"]),
        taken_at=rows["timestamp"],
        x=rows["bboxX"],
        y=rows["bboxY"],
        w=rows["bboxWidth"],
        h=rows["bboxHeight"],
    )


def _require_version(folder: Path, document: dict) -> None:
    named = _VERSION.search(f"{document.get('profile')} {document.get('$schema')}")
    if named and named[1] == "0":
        raise UserError(
            f"{folder / _DESCRIPTION} is Camtrap DP {named[1]}{named[2] or ''}; 1.0 and later are "
            "read: export it again as 1.0 from the program that holds the data"
        )


def _paths(resource: dict) -> list:
    path = resource.get("path")
    return path if isinstance(path, list) and path else [path]


def _table(folder: Path, document: dict, name: str) -> pd.DataFrame:
    paths = _paths(next(one for one in document["resources"] if one.get("name") == name))
    for path in paths:
        inner = PurePosixPath(str(path))
        if inner.is_absolute() or ".." in inner.parts or not (folder / inner).is_file():
            raise UserError(f"{folder / _DESCRIPTION} names {path} for {name}; it is not there")
    return _loaded(name, [folder / path for path in paths])


def _loaded(name: str, paths: list[Path]) -> pd.DataFrame:
    rows = pd.concat([cells.load(path) for path in paths], ignore_index=True)
    if missing := sorted(_REQUIRED[name] - set(rows)):
        raise UserError(
            f"{paths[0]} has no column {', '.join(missing)}, which Camtrap DP 1.0 requires; "
            f"it has {', '.join(rows)}. Packages of earlier versions have to be exported again"
        )
    rows = rows.reindex(columns=_COLUMNS[name]).astype("str")
    return rows.assign(**{column: ids.plain(rows[column]) for column in _IDS if column in rows})


def _places(deployments: pd.DataFrame) -> pd.Series:
    deployments = deployments.drop_duplicates("deploymentID").set_index("deploymentID")
    at = ids.places(deployments["latitude"], deployments["longitude"])
    return deployments["locationID"].fillna(at)


def _instants(*columns: pd.Series) -> list[pd.Series]:
    """Times on one clock (UTC); a time without a zone is in that of most other times."""
    written = pd.concat(columns)
    zones = written.str.extract(f"({_ZONE})", expand=False).str.strip()
    bare = written.notna() & zones.isna()
    zone = zones.mode().get(0, "Z")
    if bare.any():
        print(
            f"{bare.sum():,} of {written.notna().sum():,} times of the package have no time zone; "
            f"they are taken as {'UTC' if zone == 'Z' else zone}",
            file=sys.stderr,
        )
    return [
        pd.to_datetime(
            column.where(column.str.contains(_ZONE, na=False), column + zone),
            utc=True,
            errors="coerce",
            format="ISO8601",
        )
        for column in columns
    ]


def _of_events(media: pd.DataFrame, observations: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each medium of each event's observation; `medium` is its row in `media`."""
    places = pd.concat([media["deploymentID"], observations["deploymentID"]])
    codes = np.split(pd.factorize(places)[0], [len(media)])
    taken, start, end = _instants(
        media["timestamp"], observations["eventStart"], observations["eventEnd"]
    )
    first = min(taken.min(), start.min())

    def place(code: np.ndarray, time: pd.Series) -> np.ndarray:
        """Deployments one after the other on one axis, in milliseconds."""
        return code * 2**42 + ((time - first) // pd.Timedelta("1ms")).fillna(-1).astype("int64")

    timed = np.flatnonzero(taken.notna())
    axis = place(codes[0], taken).to_numpy()[timed]
    order = np.argsort(axis, kind="stable")
    low = np.searchsorted(axis[order], place(codes[1], start), "left")
    high = np.searchsorted(axis[order], place(codes[1], end), "right")
    count = np.where(start.notna() & end.notna(), (high - low).clip(0), 0)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    rows = observations.loc[observations.index.repeat(count)]
    rows = rows.assign(medium=timed[order[np.repeat(low, count) + within]])
    method = media["captureMethod"].str.lower()
    lapse = rows["medium"].map(method == "timelapse").astype(bool)
    triggered = (~lapse).groupby(rows.index).transform("any").astype(bool)
    return rows[~(lapse & triggered)]
