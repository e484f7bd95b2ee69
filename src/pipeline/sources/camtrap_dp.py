"""Camtrap DP 1.0: a data package of deployments, media and observations.

https://camtrap-dp.tdwg.org. Observations are of one medium, or of an event: of all media of a
deployment from its start to its end.
"""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.dataset import near_duplicates
from pipeline.sources import annotations, table

_COLUMNS = {
    "deployments": ["deploymentID", "locationID"],
    "media": ["mediaID", "deploymentID", "timestamp", "filePath", "fileMediatype"],
    "observations": [
        *("deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationType"),
        *("scientificName", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
    ],
}
_NOBODY = {"blank": "blank", "human": "person_or_vehicle", "vehicle": "person_or_vehicle"}


def is_one(document: Any) -> bool:
    """Whether a JSON document describes such a package."""
    return isinstance(document, dict) and set(_COLUMNS) <= {
        resource.get("name") for resource in document.get("resources") or ()
    }


def read(folder: Path, document: dict) -> tuple[pd.DataFrame, list[Path]]:
    """The observations of a package, each joined with the media that it is of.

    A medium is judged by its own observations where it has any, and else by those of its events.
    Its group is its event, joined with others that share media; its location is that of its
    deployment (`locationID`, or `deploymentID` where there is none). Its time is the camera's.

    Args:
        folder: Where `datapackage.json` lies.
        document: What it says.

    Returns:
        Annotations (`annotations.frame`), and the tables that they came from.

    Raises:
        UserError: A table is missing.
    """
    paths = {name: _path(folder, document, name) for name in _COLUMNS}
    deployments, media, observations = (
        table.load(paths[name]).reindex(columns=columns) for name, columns in _COLUMNS.items()
    )
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
    places = deployments.drop_duplicates("deploymentID").set_index("deploymentID")["locationID"]
    kind = rows["observationType"]
    is_video = rows["fileMediatype"].str.startswith("video/", na=False)
    return annotations.frame(
        path=rows["filePath"],
        species=rows["scientificName"].where(~kind.isin(list(_NOBODY)), kind),
        reason=kind.map(_NOBODY).mask(is_video, "video"),
        group=rows.index.map(group),
        location=rows["deploymentID"].map(places).fillna(rows["deploymentID"]),
        taken_at=annotations.times(rows["timestamp"]),
        x=rows["bboxX"],
        y=rows["bboxY"],
        w=rows["bboxWidth"],
        h=rows["bboxHeight"],
    ), list(paths.values())


def _path(folder: Path, document: dict, name: str) -> Path:
    path = next(r.get("path") for r in document["resources"] if r.get("name") == name)
    path = path[0] if isinstance(path, list) and path else path
    inner = PurePosixPath(str(path))
    if inner.is_absolute() or ".." in inner.parts or not (folder / inner).is_file():
        raise UserError(f"{folder / 'datapackage.json'} names {path} for {name}; it is not there")
    return folder / inner


def _of_events(media: pd.DataFrame, observations: pd.DataFrame) -> pd.DataFrame:
    """A row for each medium within each observation of an event; `medium` is its row in `media`."""
    places = pd.concat([media["deploymentID"], observations["deploymentID"]])
    codes = np.split(pd.factorize(places)[0], [len(media)])
    taken, start, end = (
        pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
        for column in (media["timestamp"], observations["eventStart"], observations["eventEnd"])
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
    return rows.assign(medium=timed[order[np.repeat(low, count) + within]])
