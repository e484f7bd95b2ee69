"""Accepts each file of a collection, or quarantines it with a reason."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.errors import UserError
from pipeline.core.params import Flag
from pipeline.dataset import events, near_duplicates
from pipeline.ingest import inspection_cache, quality_flags
from pipeline.ingest.inspection_cache import FileInspection
from pipeline.sources import annotations

# Null where a form of collection does not say. Times are the camera's own, without a zone.
MANIFEST = dict.fromkeys(
    (
        *("photo", "path", "species", *annotations.RANKS, "width", "height", "phash", "group"),
        *("event", "location", "taken_at", "split_hint", "box", "detections"),
        *("detection_sources", "detection_scores", "flags", "licence", "origin"),
    ),
    "str",
) | {"width": "int64", "height": "int64", "phash": "uint64"}
_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_PANDAS = {
    pa.string(): pd.StringDtype(na_value=np.nan),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
_ROWS_AT_A_TIME = 4096
_SHARE = 2  # no box of shares reaches so far, and no box in pixels is so small


def inspect(
    root: Path, files: pd.DataFrame, max_pixels: int, jobs: int, cache: Path
) -> pd.DataFrame:
    """Joins each file's metadata (`reader.Collection.files`) with the properties of its bytes.

    The other arguments are those of `inspection_cache.inspect_files`.

    Returns:
        `files` and the fields of `FileInspection`, one row a file. `reason` is null where
        nothing is wrong with the file by itself; metadata take precedence over the bytes.
    """
    readable = files["reason"].isna()
    seen = inspection_cache.inspect_files(
        root, files.loc[readable, "path"].tolist(), max_pixels, jobs, cache
    )
    inspected = _table(seen).set_axis(files.index[readable]).reindex(files.index)
    both = [name for name in inspected if name in files]
    merged = {name: files[name].where(files[name].notna(), inspected.pop(name)) for name in both}
    return pd.concat([files.assign(**merged), inspected], axis=1)


def _table(seen: Iterable[FileInspection]) -> pd.DataFrame:
    """Returns inspections as a frame, a row each, made of a few thousand at a time.

    Typed columns take a third of the memory of objects, and whole numbers stay whole beside nulls.
    """
    hints = get_type_hints(FileInspection)  # X | None
    types = {name: _ARROW[(get_args(hint) or [hint])[0]] for name, hint in hints.items()}
    types["phash"] = pa.uint64()
    seen, pieces = iter(seen), []
    while some := list(islice(seen, _ROWS_AT_A_TIME)):
        columns = zip(types.values(), zip(*some, strict=True), strict=True)
        pieces.append(pa.record_batch([pa.array(c, t) for t, c in columns], names=list(types)))
    return pa.Table.from_batches(pieces, pa.schema(types)).to_pandas(types_mapper=_PANDAS.get)


def screen(
    inspected: pd.DataFrame,
    min_side: int,
    near_duplicate_bits: int,
    reject: Sequence[Flag] = (),
    event_gap: float = 60,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Decides which files are photos to learn from, and groups near-duplicates.

    Of files with the same content, the one with the first path is accepted; where they stand under
    different species none is, for nobody knows which one is right.

    Args:
        inspected: A row a file, from `inspect`.
        min_side: A picture with a side below this is quarantined (px).
        near_duplicate_bits: Pictures whose pHash differs in at most so many bits form a group.
        reject: Photos with one of these flags are quarantined. Defaults to none.
        event_gap: The longest pause between two photos of one event (s). Defaults to 60.

    Returns:
        The manifest (columns `MANIFEST`, sorted by photo) and the quarantine (path, species,
        reason, detail; sorted by path). `event` is the smallest photo of a clip, or of what the
        source groups, such as a sequence or an observation, or else of a camera's burst; a photo
        without any is an event of its own. `group` is the smallest photo of those that belong
        together: near-duplicates, clips, what the source groups, bursts, and chains. `box` is a
        JSON list of [x, y, w, h] in shares of the sides, or null; `flags` are those of
        `quality_flags.of`. `detections` and the two columns after it are null: whoever has the
        files finds them (`detections.columns`).
    """
    rows = inspected.sort_values("path", ignore_index=True)
    _refuse_small(rows, min_side)
    rows["box"] = _shares(rows)
    rows["flags"] = quality_flags.of(rows)
    rows = rows[rows.columns.intersection([*MANIFEST, "clip", "reason", "detail"])]
    _refuse_flagged(rows, reject)
    _refuse_disputed(rows)
    first = _refuse_copies(rows)
    manifest = _grouped(rows, first, near_duplicate_bits, event_gap)
    refused = rows[rows["reason"].notna()].reset_index(drop=True)
    return manifest, refused[["path", "species", "reason", "detail"]]


def _refuse_small(rows: pd.DataFrame, min_side: int) -> None:
    """Gives pictures with a side below `min_side` (px) a reason."""
    small = rows["reason"].isna() & (rows[["width", "height"]].min(axis=1) < min_side)
    rows.loc[small, "reason"] = "too_small"
    rows.loc[small, "detail"] = [
        f"{row.width} x {row.height} px, a side below {min_side}"
        for row in rows[small].itertuples()
    ]


def _refuse_flagged(rows: pd.DataFrame, reject: Sequence[Flag]) -> None:
    """Gives photos with one of these flags a reason."""
    for flag in reject:
        poor = rows["reason"].isna() & rows["flags"].str.contains(rf"\b{flag}\b")
        rows.loc[poor, "reason"] = flag
        rows.loc[poor, "detail"] = "ingest.reject in params.yaml names this flag"


def _refuse_disputed(rows: pd.DataFrame) -> None:
    """Gives files of one content that stand under several species a reason."""
    fine = rows.index[rows["reason"].isna()]
    # By numbers: groups of strings would take a kilobyte a row.
    content, species = (rows.loc[fine, name].factorize()[0] for name in ("photo", "species"))
    by_content = pd.Series(species).groupby(content)
    disputed = fine[(by_content.transform("min") != by_content.transform("max")).to_numpy()]
    claimed = rows.loc[disputed, ["photo", "species"]]
    claims = claimed.groupby("photo")["species"].agg(lambda names: sorted(set(names)))
    rows.loc[disputed, "reason"] = "two_species"
    rows.loc[disputed, "detail"] = [
        f"the same file stands under {', '.join(claims[photo])}" for photo in claimed["photo"]
    ]


def _refuse_copies(rows: pd.DataFrame) -> pd.Series:
    """Gives all but the first of the files with one content a reason.

    Returns:
        For each file that had none so far the row of the first with its content, itself or another.
    """
    fine = rows.index[rows["reason"].isna()].to_series()
    first = fine.groupby(rows.loc[fine, "photo"].factorize()[0]).transform("first")
    copies = fine[fine != first]
    rows.loc[copies, "reason"] = "exact_duplicate"
    rows.loc[copies, "detail"] = [
        f"the same file as {path}" for path in rows.loc[first[copies], "path"]
    ]
    return first


def _grouped(
    rows: pd.DataFrame, first: pd.Series, near_duplicate_bits: int, event_gap: float
) -> pd.DataFrame:
    """Makes the manifest of the accepted files, with their events and groups.

    Args:
        rows: The files, with a `group` where the source gives one, and `clip` where some are frames
            of a clip.
        first: For each file the row of the first with its content, from `_refuse_copies`: what the
            source groups with a copy counts too.
        near_duplicate_bits: Pictures whose pHash differs in at most so many bits form a group.
        event_gap: The longest pause between two photos of one event (s).
    """
    accepted = rows[rows["reason"].isna()].sort_values("photo")
    hashes = accepted["phash"].to_numpy(dtype=np.uint64)
    near = pd.Series(near_duplicates.groups(hashes, near_duplicate_bits), accepted.index)
    burst = events.number(accepted["location"], accepted["taken_at"], event_gap)
    near = pd.Series(near_duplicates.linked(near, burst), accepted.index)
    clip = pd.Series(rows.get("clip"), rows.index, dtype="str")
    ties = near[first].set_axis(first.index)
    for together in (rows["group"], clip):
        ties = pd.Series(near_duplicates.linked(ties, together[first.index]), first.index)
    group = ties[accepted.index]
    event = ("clip " + clip[accepted.index]).fillna("source " + accepted["group"])
    event = event.fillna(("burst " + burst.astype("str")).mask(burst.isna()))
    event = event.fillna(accepted["photo"])
    accepted = accepted.reset_index(drop=True)
    accepted["group"] = _first_photo(accepted["photo"], group)
    accepted["event"] = _first_photo(accepted["photo"], event)
    return accepted.reindex(columns=list(MANIFEST)).astype(MANIFEST)


def _first_photo(photo: pd.Series, label: pd.Series) -> np.ndarray:
    """Returns for each photo the first one with its label."""
    _, first, number = np.unique(label.factorize()[0], return_index=True, return_inverse=True)
    return photo.to_numpy()[first[number]]


def _shares(rows: pd.DataFrame) -> pd.Series:
    """Returns boxes as JSON lists of [x, y, w, h] in shares of the sides, cut at its edges."""
    written = {}
    known = rows["reason"].isna() & rows["boxes"].notna()
    for row in rows.loc[known, ["boxes", "width", "height"]].itertuples():
        boxes = np.array(row.boxes, dtype=np.float64)
        in_pixels = (boxes > _SHARE).any(axis=1)
        boxes[in_pixels] /= [row.width, row.height] * 2
        start = boxes[:, :2].clip(0, 1)
        size = (boxes[:, :2] + boxes[:, 2:]).clip(0, 1) - start
        boxes = np.concatenate([start, size], axis=1).round(6)
        if inside := boxes[(boxes[:, 2:] > 0).all(axis=1)].tolist():
            written[row.Index] = json.dumps(inside)
    return pd.Series(written, dtype="str").reindex(rows.index)


def count(manifest: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """Counts files per species: in all, accepted, and quarantined for each reason."""
    accepted = manifest[["species"]].assign(reason="accepted")
    files = pd.concat([accepted, quarantine[["species", "reason"]]], ignore_index=True)
    counts = pd.crosstab(files["species"].fillna("(none)"), files["reason"])
    accepted = counts.pop("accepted") if "accepted" in counts else 0
    counts.insert(0, "accepted", accepted)
    counts.insert(0, "files", counts.sum(axis=1))
    return counts.rename_axis(columns=None).reset_index()


def write_report(
    folder: Path, manifest: pd.DataFrame, quarantine: pd.DataFrame, counts: pd.DataFrame
) -> None:
    """Makes a folder with tables of the counts, the refused files and the flagged photos."""
    folder.mkdir()
    counts.to_csv(folder / "counts.csv", index=False)
    quarantine.to_csv(folder / "quarantine.csv", index=False)
    flagged = manifest.loc[manifest["flags"] != "", ["path", "species", "flags"]]
    flagged.sort_values("path").to_csv(folder / "flags.csv", index=False)


def require(counts: pd.DataFrame, min_per_species: int) -> None:
    """Stops a run on a collection that cannot be learned from.

    Species of which no file is here at all, only words in the metadata, are no part of it.

    Raises:
        UserError: There are fewer than two species, or too few photos of some; names them.
    """
    absent = counts.reindex(columns=["missing_file", *annotations.ABSENT], fill_value=0).sum(axis=1)
    named = counts[(counts["species"] != "(none)") & (counts["files"] > absent)]
    few = named[named["accepted"] < min_per_species]
    if len(few):
        names = ", ".join(f"{row.species} ({row.accepted})" for row in few.itertuples())
        raise UserError(
            f"too few good photos of {names}; ingest.min_per_species is {min_per_species}. "
            "Add photos, drop or merge these species in ingest.labels, lower it, or leave out or "
            "pool all such species with ingest.rare: drop or pool; "
            "reports/ingest/quarantine.csv says which files were refused and why"
        )
    if len(named) < 2:
        only = ", ".join(named["species"]) or "none"
        raise UserError(f"there is one species only ({only}); give two or more")
