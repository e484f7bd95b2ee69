"""Reads iNaturalist exports in CSV (https://www.inaturalist.org/observations/export).

A row is an observation with the address of its first photo, and no name of a file. Photos are
looked for under the address' own path (`photos/<photo>/medium.jpg`), the photo's number and the
observation's, which may be the name of a folder with all of its photos.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.sources import annotations, ids

_NEEDED = {"id", "image_url", "scientific_name"}
_SIGNS = {"quality_grade", "iconic_taxon_name", "observed_on", "taxon_id"}
_PHOTO = r"/photos/(?P<photo>\d+)/(?P<size>[^/?]+)"
_DECIMALS = 2  # of coordinates: a walk; photos of one place go together


def is_one(document: Any) -> bool:
    """Returns whether this is such an export."""
    return (
        isinstance(document, pd.DataFrame)
        and set(document) >= _NEEDED
        and bool(_SIGNS & set(document))
    )


def read(rows: pd.DataFrame, folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the species of each observation's photo; the observation is its group.

    The files tell how the photos were named. One that is not among them is at its address.
    """
    columns = ["time_observed_at", "observed_on", "latitude", "longitude", "license"]
    rows = rows.reindex(columns=[*rows.columns, *(c for c in columns if c not in rows)])
    number = ids.plain(rows["id"])
    address = rows["image_url"].str.extract(_PHOTO)
    inner = "photos/" + address["photo"] + "/" + address["size"]
    within = inner.where(inner.str.rsplit(".", n=1).str[0].isin(_tails(files)))
    names = [within, address["photo"], number, rows["image_url"]]
    path = ids.first_there(names, files)
    inside = number.map(_by_folder(files, set(address["photo"])))
    path = path.astype(object).where((path != rows["image_url"]) | inside.isna(), inside)
    rows = rows.assign(path=path, number=number).explode("path", ignore_index=True)
    return annotations.frame(
        path=rows["path"],
        species=rows["scientific_name"],
        group=rows["number"],
        location=ids.places(rows["latitude"], rows["longitude"], _DECIMALS),
        taken_at=rows["time_observed_at"].fillna(rows["observed_on"]),
        licence=rows["license"],
        **{rank: rows.get(f"taxon_{rank}_name") for rank in annotations.RANKS},
    )


def _by_folder(files: pd.Series, photos: set[str]) -> pd.Series:
    """Returns the files in each folder that is called by a number, but those of one photo alone."""
    folder = files.str.extract(r"(?:^|/)(\d+)/[^/]+$", expand=False)
    return files[~folder.isin(photos)].groupby(folder).agg(list)


def _tails(files: pd.Series) -> set[str]:
    return set(files.str.extract(r"(photos/\d+/[^/]+)\.[^./]+$", expand=False).dropna())
