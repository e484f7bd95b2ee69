"""Parses labels: lists in one cell, and labels that name no animal."""

import ast
import json
import re
import unicodedata
from collections.abc import Iterable

import pandas as pd

# What camera-trap platforms and their users write where there is no species to learn: LILA's sets,
# Wildlife Insights, eMammal, Zooniverse, camtrapR, Timelapse, SpeciesNet, MegaDetector.
_NO_ANIMAL = {
    "blank": (
        *("blank", "empty", "nothing", "none", "no animal", "no animals", "no animal present"),
        *("no species", "no wildlife", "nothing here", "false trigger", "false positive"),
        *("false detection", "ghost", "background", "vegetation", "leeg", "leer", "vide", "vacio"),
    ),
    "human": (
        *("human", "humans", "person", "persons", "people", "pedestrian", "homo", "homo sapiens"),
        *("homo species", "human camera trapper", "camera trapper", "human non staff", "staff"),
        *("human pedestrian", "human hiker", "human biker", "human hunter", "hunter", "hiker"),
        *("human motorized", "human horseback rider", "maintenance crew"),
        *("human maintenance crew", "man", "woman"),
    ),
    "vehicle": (
        *("vehicle", "vehicles", "human vehicle", "car", "cars", "truck", "motorcycle"),
        *("motorbike", "bicycle", "bike", "atv", "boat"),
    ),
    "camera_handling": (
        *("misfire", "setup", "set up", "setup pickup", "setup picture", "setup pictures"),
        "pickup",
        *("start end", "test photo", "test photos", "calibration", "calibration photos"),
        *("time lapse", "timelapse", "camera handling", "ignore", "problem", "problems", "corrupt"),
        *("corrupted", "malfunction", "camera malfunction", "foggy lens"),
    ),
    "not_identified": (
        *("unknown", "unknown animal", "unknown species", "unk", "unidentifiable", "unidentified"),
        *("unidentified animal", "unidentifiable animal", "no cv result", "no cv results"),
        *("not identifiable", "cannot identify", "undetermined", "indeterminate", "unclassified"),
        *("unlabeled", "unlabelled", "no label", "animal", "other animal", "unsure", "unclear"),
        *("na", "n/a", "nan", "null", "?", "to be identified", "tbd", "not set", "unresolvable"),
    ),
}
_KINDS = {name: kind for kind, names in _NO_ANIMAL.items() for name in names}
_REASONS = {"human": "person_or_vehicle", "vehicle": "person_or_vehicle"}  # others: as the kind
REASONS = ("blank", "person_or_vehicle", "camera_handling", "not_identified")
LABELLED = "labelled "  # how the detail of such a file begins
_SURE = re.compile(r"\s*[;|\n]\s*")
_LIKELY = re.compile(r"\s*(?:,|/|\+|&|\band\b)\s*")
_RANKED = re.compile(r"[0-9a-f-]{36};", re.IGNORECASE)


def comparable(name: str) -> str:
    """Returns a name without what people cannot see in it: case, blanks, Unicode's form."""
    text = unicodedata.normalize("NFKC", name).replace("_", " ").casefold()
    return " ".join(text.split())


def reason(label: str) -> str | None:
    """Returns why nothing can be learned from photos of a label; None for an animal's name."""
    category = _category(label)
    return _REASONS.get(category, category)


def kind(label: str) -> str:
    """Returns what a label names: `animal`, or `blank`, `human`, `vehicle` or `unknown`."""
    category = _category(label) or "animal"
    return category if category in ("animal", "blank", "human", "vehicle") else "unknown"


def _category(label: str) -> str | None:
    text = comparable(label)
    return _KINDS.get(text) or _KINDS.get(" ".join(re.split(r"[\s:,()/-]+", text)).strip())


def left_out(quarantine: pd.DataFrame) -> pd.Series:
    """Counts the refused files that have a label which names no animal, by (reason, label).

    Their detail holds the label (`labelled Blank`). The commonest comes first.
    """
    labelled = quarantine["detail"].str.startswith(LABELLED, na=False)
    refused = quarantine[quarantine["reason"].isin(REASONS) & labelled]
    label = refused["detail"].str.removeprefix(LABELLED)
    counts = refused.groupby(["reason", label]).size()
    return counts.sort_index().sort_values(ascending=False, kind="stable")


def split(cells: pd.Series) -> pd.Series:
    """Splits cells that hold a list into their labels.

    A list is one of Python or JSON, or has `;`, `|` or lines between its parts. Commas and slashes
    separate where each part stands as a label elsewhere in the column, too: `Fox, red` is a name.
    An empty cell has no labels.
    """
    lists = {cell: _parts(cell) for cell in cells.dropna().unique()}
    known = {comparable(name) for parts in lists.values() for name in parts}
    for cell, parts in lists.items():
        likely = _LIKELY.split(parts[0]) if len(parts) == 1 else []
        if len(likely) > 1 and all(comparable(name) in known for name in likely):
            lists[cell] = _distinct(likely)
    return cells.map(lists).map(lambda parts: parts if isinstance(parts, list) else [])


def _parts(cell: str) -> list[str]:
    if cell[:1] in "[({" and cell[-1:] in "])}":
        for parse in (json.loads, ast.literal_eval):
            try:
                inside = parse(cell)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            return _distinct(inside) if isinstance(inside, list | tuple | set) else [cell]
        if cell[0] == "{" and ":" not in cell:  # a set of PostgreSQL
            return _distinct(name.strip("\"' ") for name in cell[1:-1].split(","))
    if _RANKED.match(cell):  # one name of SpeciesNet, with its ranks
        return [cell]
    return _distinct(_SURE.split(cell))


def _distinct(names: Iterable[object]) -> list[str]:
    texts = (str(name).strip() for name in names if name is not None)
    return list(dict.fromkeys(text for text in texts if text))


def of_photos(rows: pd.DataFrame) -> dict[str, set[str]]:
    """Returns the labels that each photo has in rows of path and species, as they are compared."""
    known = rows[["path", "species"]].dropna()
    names = known["species"].map(comparable)
    return names.groupby(known["path"]).agg(set).to_dict()
