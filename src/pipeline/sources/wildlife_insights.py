"""Reads Wildlife Insights' download: `images.csv` (or `images_2000001.csv`) and `deployments.csv`.

The columns are those of the data dictionary, https://www.wildlifeinsights.org/data-dictionary:
genus and species apart, `location` is the picture's address in the cloud, and a photo is named
`<deployment_id>/<filename>`.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.sources import annotations, cells, ids

_NEEDED = {"deployment_id", "image_id", "filename", "is_blank", *annotations.RANKS, "species"}


def is_one(document: Any) -> bool:
    """Returns whether this is the download's table of images."""
    return isinstance(document, pd.DataFrame) and set(document) >= _NEEDED


def read(rows: pd.DataFrame, folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the label of each image; of one identified to a higher rank alone, that rank's name.

    Its location is its deployment, or by `deployments.csv` in the folder the first of those at the
    same place.
    """
    rows = rows.reindex(columns=[*rows.columns, *({"common_name", "timestamp"} - set(rows))])
    blank = rows["is_blank"].str.lower().isin(["yes", "1", "1.0", "true", "t"])
    species = rows["genus"] + " " + rows["species"]
    for rank in (*reversed(annotations.RANKS), "common_name"):
        species = species.fillna(rows[rank])
    reason = pd.Series(None, index=rows.index, dtype=object).mask(blank, "blank")
    reason = reason.mask(rows["genus"].str.lower() == "homo", "person_or_vehicle")
    deployment = ids.plain(rows["deployment_id"])
    bare = ~rows["filename"].str.contains("/", na=False)
    return annotations.frame(
        path=rows["filename"].where(~bare, deployment + "/" + rows["filename"]),
        species=species.mask(blank, "blank"),
        reason=reason,
        group=rows.get("sequence_id"),
        location=deployment.map(_stations(folder)).fillna(deployment),
        taken_at=rows["timestamp"],
        licence=rows.get("license"),
        **{rank: rows[rank] for rank in annotations.RANKS},
    )


def _stations(folder: Path) -> pd.Series:
    """Returns the first deployment at the place of each; cameras come back to where they were."""
    path = folder / "deployments.csv"
    deployments = cells.load(path) if path.is_file() else pd.DataFrame()
    if "deployment_id" not in deployments:
        return pd.Series(dtype="str")
    columns = ["deployment_id", "placename", "latitude", "longitude"]
    rows = deployments.reindex(columns=columns).astype("str").drop_duplicates("deployment_id")
    names = ids.plain(rows["deployment_id"])
    at = rows["placename"].fillna(ids.places(rows["latitude"], rows["longitude"])).fillna(names)
    return pd.Series(names.groupby(at).transform("first").array, index=names.array)
