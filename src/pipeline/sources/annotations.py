"""Reduces the annotations of a collection, a row each, to one row a file.

Every form of collection is read into the same frame of annotations, so that one place renames
labels, finds files and distinguishes pictures of several species.
"""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import UserError
from pipeline.sources import labels as label_names
from pipeline.sources.filenames import RAW

RANKS = ["class", "order", "family", "genus"]
FIELDS = ["group", "location", "taken_at", "split_hint", "licence", *RANKS]
_TEXT = ["path", "species", "reason", *FIELDS, "zone", "unread_time"]
_NUMBERS = ["x", "y", "w", "h", "width", "height"]
ABSENT = ("remote",)  # no file of the collection, whatever it shows
_REMOTE = r"^[A-Za-z][A-Za-z0-9+.-]+://"
_RAW = rf"(?i)(?:{'|'.join(map(re.escape, RAW))})$"
_TIME_PARTS = ("year", "month", "day", "hour", "minute", "second")
_OF_DAY = r"(?:,?[T ]\s*(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?)?"
_TIME = rf"^\s*(?P<year>\d{{4}})[-:/](?P<month>\d\d?)[-:/](?P<day>\d\d?){_OF_DAY}"
_YEAR_LAST = r"^\s*(?P<{}>\d\d?)[./-](?P<{}>\d\d?)[./-](?P<year>\d{{4}})"
_DAY_FIRST, _MONTH_FIRST = (
    _YEAR_LAST.format(*order) + _OF_DAY for order in (("day", "month"), ("month", "day"))
)
_HALVES = r"(?i)\d\s*([ap])\.?m\b"
_ZONE = r":\d\d(?:\.\d+)?\s*(Z|[+-]\d\d:?(?:\d\d)?)\s*$"
_PLAIN = re.compile(r"[^\W\d_][\w -]*\w")  # YAML needs no quotes around it
_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}  # but around these


def frame(**columns: Any) -> pd.DataFrame:
    """Returns a frame of annotations from the columns that a form knows; the rest is null.

    Rows without a path are left out.

    Args:
        columns: `path` as the metadata write it; `species`; `reason` where there is nothing to
            learn (`blank`, `person_or_vehicle`); group, location, taken_at (as `times`
            takes it; its time zone, if it has one, becomes the column `zone`, and what is no time
            the column `unread_time`), split_hint and
            licence; the taxonomic ranks of the species (`class`, `order`, `family`,
            `genus`); a box from its left upper corner (`x`, `y`, `w`, `h`), in pixels where
            `width` and `height` of the picture are given or a number is above 2, else in shares
            of its sides.
    """
    rows = pd.DataFrame(columns).reindex(columns=[*_TEXT, *_NUMBERS])
    text = rows[_TEXT].astype("str")
    text[_TEXT[1:]] = text[_TEXT[1:]].apply(lambda column: column.str.strip())
    text["zone"] = text["taken_at"].str.extract(_ZONE, expand=False)
    read = times(text["taken_at"])
    text = text.assign(taken_at=read, unread_time=text["taken_at"].where(read.isna()))
    numbers = rows[_NUMBERS].apply(pd.to_numeric, errors="coerce").astype("float64")
    return pd.concat([text.mask(text == ""), numbers], axis=1).dropna(subset="path")


def times(written: pd.Series) -> pd.Series:
    """Returns the camera's own time as ISO 8601 without a zone; null where a text is no time.

    Args:
        written: The year first, as ISO 8601 and EXIF have it, with or without a time of day. Where
            it is last, day and month are known apart by those of all rows: one goes beyond 12. If
            none does, such texts are no times.
    """
    text = written.astype("str").reset_index(drop=True)
    times = pd.to_datetime(_parts(text, _TIME), errors="coerce")
    rest = text[times.isna() & text.notna()]
    for pattern in (_DAY_FIRST, _MONTH_FIRST) if len(rest) else ():
        parts = _parts(rest, pattern)
        dates = parts[parts["year"] > 0]
        if (dates["month"] <= 12).all() and (dates["day"] > 12).any():
            times = times.fillna(pd.to_datetime(parts, errors="coerce"))
    return times.set_axis(written.index).dt.strftime("%Y-%m-%dT%H:%M:%S").astype("str")


def _parts(text: pd.Series, pattern: str) -> pd.DataFrame:
    """Returns year, month, day, hour, minute and second of each text; 0 where there is none."""
    parsed = pc.extract_regex(pa.array(text, from_pandas=True), pattern)
    parts = pd.DataFrame({name: pc.struct_field(parsed, name).to_pandas() for name in _TIME_PARTS})
    parts = parts.replace("", "0").fillna("0").astype("int64").set_axis(text.index)
    half = text.str.extract(_HALVES, expand=False).str.lower()
    of_twelve = parts["hour"] % 12 + 12 * (half == "p").fillna(False).astype("int64")
    return parts.assign(hour=parts["hour"].where(half.isna(), of_twelve))


def normalised(labels: Mapping[str, str | None]) -> dict[str, str | None]:
    """Returns `ingest.labels` with old and new names in Unicode's normal form C."""
    normal = partial(unicodedata.normalize, "NFC")
    return {normal(old): new and normal(new) for old, new in labels.items()}


def relabelled(
    rows: pd.DataFrame, labels: Mapping[str, str | None], others: Iterable[str] = ()
) -> pd.DataFrame:
    """Renames, merges and drops species by `ingest.labels`, and marks labels of no animal.

    A label that names no animal (`labels.reason`) is left out unless `labels` gives it a name.

    Args:
        rows: Annotations.
        labels: `ingest.labels`.
        others: Species that no row has and that `labels` may name all the same. Defaults to none.

    Raises:
        UserError: `labels` names a species that nothing shows, or two species differ in case,
            blanks or Unicode's form alone; lists the species there are.
    """
    species, labels = rows["species"].str.normalize("NFC"), normalised(labels)
    there = sorted({*species.dropna(), *others})
    if unknown := sorted(set(labels) - set(there)):
        raise UserError(
            f"ingest.labels names {', '.join(unknown)}, which nothing here shows; "
            f"the species there are: {', '.join(there)}"
        )
    named = species.isin(list(labels))
    here = named & ~rows["reason"].isin(ABSENT)
    reasons = species.map({name: label_names.reason(name) for name in there if name not in labels})
    reasons = rows["reason"].where(rows["reason"].notna(), reasons.astype("str"))
    rows = rows.assign(
        species=species.where(~named, species.map(labels)), reason=reasons.mask(here, None)
    )
    rows.loc[here & rows["species"].isna(), "reason"] = "unwanted"
    shown = rows["species"][rows["reason"].isna()].dropna().unique()
    require_distinct(shown)
    return rows


def require_distinct(names: Iterable[str]) -> None:
    """Checks that people see in which way two species differ.

    Raises:
        UserError: Two differ in case, blanks or Unicode's form alone.
    """
    ordered = sorted(names, key=lambda name: (label_names.comparable(name), name))
    for first, second in pairwise(ordered):
        if label_names.comparable(first) == label_names.comparable(second):
            alone = "the case of letters" if first.casefold() == second.casefold() else "blanks"
            raise UserError(
                f"species {written(first)} and {written(second)} differ in {alone} alone; rename "
                "one, or merge them in params.yaml: "
                f"ingest.labels: {{{written(first)}: {written(second)}}}"
            )


def written(name: str) -> str:
    """Returns a name as a line of params.yaml must write it, every blank visible."""
    if _PLAIN.fullmatch(name) and name.lower() not in _WORDS:
        return name
    return json.dumps(name, ensure_ascii=not all(c == " " or not c.isspace() for c in name))


def settled(rows: pd.DataFrame) -> pd.DataFrame:
    """Reduces the annotations of each file to one row.

    A picture that shows two species has no one label and is refused as `several_species`; one
    without any is refused for what its annotations say, or as `no_species`.

    Returns:
        A row a file, its index the path: species, reason, detail, `FIELDS` and boxes (a tuple of
        (x, y, w, h)).
    """
    once = _first(rows)
    files = once if rows["path"].is_unique else rows.groupby("path", sort=False).first()
    files = files.loc[once.index, FIELDS].assign(detail=None)
    shown = rows[rows["species"].notna() & (rows["reason"].isna() | rows["reason"].isin(ABSENT))]
    pairs = shown[["path", "species"]].drop_duplicates()
    files["species"] = _first(pairs)["species"]
    reasons = _first(rows[rows["reason"].notna()])["reason"].reindex(files.index)
    files["reason"] = reasons.where(files["species"].isna() | reasons.isin(ABSENT))
    files.loc[files["species"].isna() & files["reason"].isna(), "reason"] = "no_species"
    nobody = _first(rows[rows["reason"].isin(label_names.REASONS)])["species"]
    nobody = nobody.reindex(files.index).where(files["reason"].isin(label_names.REASONS))
    files["detail"] = label_names.LABELLED + nobody
    # Of people beside the animal they would be the wrong ones.
    files[RANKS] = _first(shown)[RANKS].reindex(files.index)
    several = pairs[pairs.duplicated("path", keep=False)].sort_values("species")
    names = several.groupby("path")["species"].agg(", ".join)
    files.loc[names.index, ["species", "reason", *RANKS]] = None
    files.loc[names.index, "reason"] = "several_species"
    files.loc[names.index, "detail"] = names
    for reason, pattern in (("raw", _RAW), ("remote", _REMOTE)):
        files.loc[files.index.str.contains(pattern), "reason"] = reason
    files["boxes"] = boxes(shown).reindex(files.index)
    return files


def _first(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the first row of each path, by path."""
    return rows.drop_duplicates("path").set_index("path")


def ranks(inspected: pd.DataFrame) -> pd.DataFrame:
    """Returns the ranks of each species, for photos that are given another one.

    Args:
        inspected: A row a file; those with a reason do not count.
    """
    good = inspected[inspected["reason"].isna()].drop_duplicates("species").set_index("species")
    return good[[column for column in RANKS if column in good]]


def boxes(rows: pd.DataFrame) -> pd.Series:
    """Returns the boxes of each path, tuples of (x, y, w, h), without paths that have none."""
    rows = rows[(rows["w"] > 0) & (rows["h"] > 0) & rows[["x", "y"]].notna().all(axis=1)]
    rows = rows.assign(
        **{
            name: (rows[name] / rows[side]).where(rows[side] > 0, rows[name])
            for name, side in (("x", "width"), ("y", "height"), ("w", "width"), ("h", "height"))
        }
    )
    rows = rows[["path", "x", "y", "w", "h"]].round(6).drop_duplicates()
    by_path = defaultdict(tuple)
    for path, *box in rows.itertuples(index=False, name=None):
        by_path[path] += (tuple(box),)
    return pd.Series(by_path, dtype=object)
