"""What is wrong with the files of a collection: each is accepted, or quarantined with a reason."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import duplicates, looks, photos
from pipeline.errors import UserError
from pipeline.looks import Look
from pipeline.sources.folders import Found

# Null where a form of collection does not say. Times are the camera's own, without a zone.
MANIFEST = {
    "photo": "str",
    "path": "str",
    "species": "str",
    "width": "int64",
    "height": "int64",
    "phash": "uint64",
    "group": "str",
    "location": "str",
    "taken_at": "str",
    "split_hint": "str",
    "box": "str",
    "licence": "str",
    "origin": "str",
}


def inspect(
    root: Path, found: list[Found], max_pixels: int, jobs: int, cache: Path
) -> pd.DataFrame:
    """Puts together what the source says of each file and what its bytes say.

    Args:
        root: The folder that the paths start from.
        found: What the source says.
        max_pixels: A picture that claims more is refused before it is decoded.
        jobs: Processes to use.
        cache: Folder for what was seen of the files, as in `looks.at`.

    Returns:
        One row a file, in the order of `found`: the fields of `Found` but for `problem`, and those
        of `Look`. `reason` is null where nothing is wrong with the file by itself; what the source
        calls a problem is one.
    """
    said = [field.name for field in fields(Found) if field.name != "problem"]
    readable = [file.path for file in found if not file.problem]
    seen = looks.at(root, readable, max_pixels, jobs, cache)
    rows = [
        (
            *(getattr(file, name) for name in said),
            *(Look(reason=file.problem, detail="") if file.problem else next(seen)),
        )
        for file in found
    ]
    # As objects: beside nulls pandas would turn hashes into floats, which hold 53 of 64 bits.
    return pd.DataFrame(rows, columns=[*said, *Look._fields], dtype=object)


def judge(
    inspected: pd.DataFrame, min_side: int, near_duplicate_bits: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decides which files are photos to learn from, and groups near-duplicates.

    Of files with the same content, the one with the first path is kept; where they stand under
    different species none is, for nobody knows which one is right.

    Args:
        inspected: What `inspect` gave.
        min_side: A picture with a side below this is quarantined (px).
        near_duplicate_bits: Pictures whose pHash differs in at most so many bits form a group.

    Returns:
        The manifest (columns `MANIFEST`, sorted by photo; `group` is the smallest photo of the
        group) and the quarantine (path, species, reason, detail; sorted by path).
    """
    rows = inspected.copy()
    small = rows["reason"].isna() & (rows[["width", "height"]].min(axis=1) < min_side)
    rows.loc[small, "reason"] = "too_small"
    rows.loc[small, "detail"] = [
        f"{row.width} x {row.height} px, a side below {min_side}"
        for row in rows[small].itertuples()
    ]
    fine = rows["reason"].isna()
    same = rows[fine].sort_values("path").groupby("photo")
    claims = rows["photo"].map(same["species"].agg(lambda names: sorted(set(names))))
    kept = rows["photo"].map(same["path"].first())
    disputed = fine & (claims.map(len, na_action="ignore") > 1)
    rows.loc[disputed, "reason"] = "two_species"
    rows.loc[disputed, "detail"] = [
        f"the same file stands under {', '.join(names)}" for names in claims[disputed]
    ]
    again = fine & ~disputed & (rows["path"] != kept)
    rows.loc[again, "reason"] = "exact_duplicate"
    rows.loc[again, "detail"] = [f"the same file as {path}" for path in kept[again]]

    accepted = rows[rows["reason"].isna()].sort_values("photo").reset_index(drop=True)
    hashes = np.array(accepted["phash"].tolist(), dtype=np.uint64)
    number = pd.Series(duplicates.groups(hashes, near_duplicate_bits), index=accepted.index)
    accepted["phash"] = hashes
    accepted["group"] = accepted["photo"].groupby(number).transform("min")
    manifest = accepted.reindex(columns=list(MANIFEST)).astype(MANIFEST)
    refused = rows[rows["reason"].notna()].sort_values("path").reset_index(drop=True)
    return manifest, refused[["path", "species", "reason", "detail"]]


def count(manifest: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """Counts files per species: found, accepted, and quarantined for each reason."""
    files = pd.concat([manifest.assign(reason="accepted"), quarantine])
    files["species"] = files["species"].fillna("(none)")
    counts = files.groupby(["species", "reason"]).size().unstack("reason", fill_value=0)
    if "accepted" not in counts:
        counts["accepted"] = 0
    counts.insert(0, "accepted", counts.pop("accepted"))
    counts.insert(0, "found", counts.sum(axis=1))
    return counts.rename_axis(columns=None).reset_index()


def require(counts: pd.DataFrame, min_per_species: int) -> None:
    """Stops a run on a collection that cannot be learned from.

    Raises:
        UserError: There are fewer than two species, or too few photos of some; names them.
    """
    named = counts[counts["species"] != "(none)"]
    few = named[named["accepted"] < min_per_species]
    if len(few):
        names = ", ".join(f"{row.species} ({row.accepted})" for row in few.itertuples())
        raise UserError(
            f"too few good photos of {names}; ingest.min_per_species is {min_per_species}. "
            "Add photos, remove these folders or lower it; reports/ingest/quarantine.csv says "
            "which files were refused and why"
        )
    if len(named) < 2:
        raise UserError(f"there is one species only ({named['species'].item()}); give two or more")


def contact_rows(
    root: Path, manifest: pd.DataFrame, max_pixels: int, columns: int = 12, size: int = 112
) -> list[list[tuple[np.ndarray, str]]]:
    """A row of pictures for each species, for `sheets.sheet`."""
    return [
        [
            (photos.square((root / path).read_bytes(), size, max_pixels=max_pixels), name)
            for path in rows["path"][:columns]
        ]
        for name, rows in manifest.groupby("species")
    ]
