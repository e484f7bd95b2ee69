"""What metadata say of a collection: a row an annotation, and what that comes to a file.

Every form of collection is read into the same frame of annotations, so that labels are renamed,
files found and pictures of several species told apart in one place.
"""

import unicodedata
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import UserError

FIELDS = ["group", "location", "taken_at", "split_hint", "licence"]
_TEXT = ["path", "species", "reason", *FIELDS]
_NUMBERS = ["x", "y", "w", "h", "width", "height"]
ABSENT = ("remote", "video")  # a file that is no photo here, whatever it shows
_REMOTE = r"^[A-Za-z][A-Za-z0-9+.-]+://"
_VIDEO = r"(?i)\.(?:mp4|avi|mov|m4v|mkv|mts|mpe?g|wmv|webm|3gp)$"
_TIME_PARTS = ("year", "month", "day", "hour", "minute", "second")
_TIME = (
    r"^\s*(?P<year>\d{4})[-:/](?P<month>\d\d?)[-:/](?P<day>\d\d?)"
    r"(?:[T ](?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?)?"
)
_SAMPLE = 50


def frame(**columns: Any) -> pd.DataFrame:
    """A frame of annotations from the columns that a form knows; the rest is null.

    Rows without a path are left out.

    Args:
        columns: `path` as the metadata write it; `species`; `reason` where there is nothing to
            learn (`blank`, `person_or_vehicle`, `video`); group, location, taken_at, split_hint
            and licence; a box from its left upper corner (`x`, `y`, `w`, `h`), in pixels where
            `width` and `height` of the picture are given or a number is above 2, else in shares
            of its sides.
    """
    rows = pd.DataFrame(columns).reindex(columns=[*_TEXT, *_NUMBERS])
    text = rows[_TEXT].astype("str")
    text[_TEXT[1:]] = text[_TEXT[1:]].apply(lambda column: column.str.strip())
    numbers = rows[_NUMBERS].apply(pd.to_numeric, errors="coerce").astype("float64")
    return pd.concat([text.mask(text == ""), numbers], axis=1).dropna(subset="path")


def times(written: pd.Series) -> pd.Series:
    """The camera's own time as ISO 8601 without a zone; null where a text is no time.

    Args:
        written: The year first, as ISO 8601 and EXIF have it, with or without a time of day.
    """
    found = pc.extract_regex(pa.array(written.astype("str"), from_pandas=True), _TIME)
    parts = pd.DataFrame({name: pc.struct_field(found, name).to_pandas() for name in _TIME_PARTS})
    parts = parts.replace("", "0").fillna("0").astype("int64")
    times = pd.to_datetime(parts, errors="coerce").set_axis(written.index)
    return times.dt.strftime("%Y-%m-%dT%H:%M:%S").astype("str")


def relabelled(rows: pd.DataFrame, labels: dict[str, str | None]) -> pd.DataFrame:
    """Renames, merges and drops species by `ingest.labels`.

    Raises:
        UserError: `labels` names a species that nothing shows, or two species differ in the case
            of letters alone; lists the species there are.
    """
    species = rows["species"].str.normalize("NFC")
    labels = {_normal(old): new and _normal(new) for old, new in labels.items()}
    there = sorted(species.dropna().unique())
    if unknown := sorted(set(labels) - set(there)):
        raise UserError(
            f"ingest.labels names {', '.join(unknown)}, which nothing here shows; "
            f"the species there are: {', '.join(there)}"
        )
    named = species.isin(list(labels))
    here = named & ~rows["reason"].isin(ABSENT)
    rows = rows.assign(
        species=species.where(~named, species.map(labels)),
        reason=rows["reason"].mask(here, None),
    )
    rows.loc[here & rows["species"].isna(), "reason"] = "unwanted"
    names = sorted(rows["species"].dropna().unique(), key=lambda name: (name.casefold(), name))
    for first, second in pairwise(names):
        if first.casefold() != second.casefold():
            continue
        raise UserError(
            f"species {first} and {second} differ in the case of letters alone; rename one, or "
            f"merge them in params.yaml: ingest.labels: {{{first}: {second}}}"
        )
    return rows


def settled(rows: pd.DataFrame) -> pd.DataFrame:
    """What the annotations of each file come to.

    A picture that shows two species has no one label and is refused as `several_species`; one
    without any is refused for what its annotations say, or as `no_species`.

    Returns:
        A row a file, its index the path: species, reason, detail, `FIELDS` and boxes (a tuple of
        (x, y, w, h)).
    """
    once = rows.drop_duplicates("path").set_index("path")
    files = once if rows["path"].is_unique else rows.groupby("path", sort=False).first()
    files = files.loc[once.index, FIELDS].assign(detail=None)
    shown = rows[rows["species"].notna() & (rows["reason"].isna() | rows["reason"].isin(ABSENT))]
    pairs = shown[["path", "species"]].drop_duplicates()
    files["species"] = pairs.drop_duplicates("path").set_index("path")["species"]
    reasons = rows[rows["reason"].notna()].drop_duplicates("path").set_index("path")["reason"]
    reasons = reasons.reindex(files.index)
    files["reason"] = reasons.where(files["species"].isna() | reasons.isin(ABSENT))
    files.loc[files["species"].isna() & files["reason"].isna(), "reason"] = "no_species"
    several = pairs[pairs.duplicated("path", keep=False)].sort_values("species")
    for path, names in several.groupby("path")["species"]:
        files.loc[path, ["species", "reason", "detail"]] = None, "several_species", ", ".join(names)
    for reason, pattern in (("video", _VIDEO), ("remote", _REMOTE)):
        files.loc[files.index.str.contains(pattern), "reason"] = reason
    files["boxes"] = boxes(shown).reindex(files.index)
    return files


def boxes(rows: pd.DataFrame) -> pd.Series:
    """The boxes of each path, a tuple of (x, y, w, h) each; paths without any are left out."""
    rows = rows[(rows["w"] > 0) & (rows["h"] > 0) & rows[["x", "y"]].notna().all(axis=1)]
    rows = rows.assign(
        **{
            name: (rows[name] / rows[side]).where(rows[side] > 0, rows[name])
            for name, side in (("x", "width"), ("y", "height"), ("w", "width"), ("h", "height"))
        }
    )
    found = defaultdict(dict)  # a dict for its order: the same box twice is one box
    for path, *box in (
        rows[["path", "x", "y", "w", "h"]].round(6).itertuples(index=False, name=None)
    ):
        found[path][tuple(box)] = None
    return pd.Series({path: tuple(several) for path, several in found.items()}, dtype=object)


def located(said: pd.Series, disk: pd.Series) -> pd.Series:
    """The files that paths in metadata mean; a path that means none stays as it is.

    Paths may start at another folder than the collection's, and may differ from the disk's in
    slashes, in Unicode's normal form, in case or in a left out extension, wherever only one file
    fits. Nothing is looked up on the disk, so no path leads out of the collection.

    Args:
        said: Paths as metadata write them.
        disk: Paths below the collection's top folder, each once.
    """
    unique = pd.Series(said.unique(), dtype="str")
    paths = unique.str.replace("\\", "/").str.replace(r"^(?:\./)+", "", regex=True)
    found = paths.where(pd.Index(disk).get_indexer(paths) >= 0)
    if found.isna().any():
        drop, add = _shift(paths[found.isna()], disk)
        paths = add + paths.str.removeprefix(drop)
        for of_disk, of_said in ((_same, _same), (_folded, _folded), (_stem, _folded)):
            if found.notna().all():
                break
            keys = of_disk(disk)
            only = ~keys.duplicated(keep=False)
            fitting = pd.Series(disk[only].array, index=keys[only])
            found = found.where(found.notna(), of_said(paths).map(fitting))
    return said.map(pd.Series(found.where(found.notna(), unique).array, index=unique))


def _shift(said: pd.Series, disk: pd.Series) -> tuple[str, str]:
    """What to take from the start of most paths, and what to put there, so that they are found."""
    left, right = (pd.DataFrame({"path": p, "name": _stem(_name(p))}) for p in (said, disk))
    left = left[pd.Index(right["name"].unique()).get_indexer(left["name"]) >= 0]
    pairs = left.iloc[:: len(left) // _SAMPLE + 1].merge(right, on="name")[["path_x", "path_y"]]
    shifts: Counter[tuple[str, str]] = Counter()
    for left, right in pairs.itertuples(index=False, name=None):
        left, right = left.split("/"), right.split("/")
        drop, add = max(0, len(left) - len(right)), max(0, len(right) - len(left))
        between = zip(left[drop:-1], right[add:-1], strict=True)
        if all(_normal(a).casefold() == _normal(b).casefold() for a, b in between):
            shift = ["".join(f"{part}/" for part in parts) for parts in (left[:drop], right[:add])]
            shifts[tuple(shift)] += 1
    return min(shifts, key=lambda shift: (-shifts[shift], shift), default=("", ""))


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _name(paths: pd.Series) -> pd.Series:
    return paths.str.rsplit("/", n=1).str[-1]


def _same(paths: pd.Series) -> pd.Series:
    return paths.str.normalize("NFC")


def _folded(paths: pd.Series) -> pd.Series:
    return _same(paths).str.casefold()


def _stem(paths: pd.Series) -> pd.Series:
    return _folded(paths).str.replace(r"\.[a-z0-9]{2,4}$", "", regex=True)
