"""Finds what phones and photo programs write into a photo, or into a file beside it.

Keywords of Lightroom, digiKam and darktable are XMP as of ISO 16684-1: a packet of XML in the
photo, or a sidecar, `photo.jpg.xmp` or `photo.xmp`. Photos are not labelled by them, for one photo
has keywords of many kinds; they show that there are labels which folders do not have.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.sax.saxutils import unescape

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import forms, labels, table

XMP = ".xmp"
_BYTES = 2**18  # of a photo; the packet stands before the pixels
_LISTS = re.compile(
    rb"<(dc:subject|lr:hierarchicalSubject|digiKam:TagsList)\b[^>]*>(.*?)</\1>", re.DOTALL
)
_ITEM = re.compile(rb"<rdf:li[^>]*>([^<]+)</rdf:li>")
_OURS = b"<xmp:CreatorTool>animal</xmp:CreatorTool>"  # `animal predict --xmp`: a network's guesses
_SHOWN = 3  # keywords in a message
_WORD = re.compile(r"[^\W\d_]{2}")
# Where they write what is shown, beside columns called as species are.
_KEYWORDS = {"tag", "tags", "keyword", "keywords", "subject", "hierarchicalsubject", "labels"}


def named_after(paths: pd.Series, photos: pd.Series) -> set[str]:
    """Returns the JSON and XMP files that are named after one photo beside them."""
    there = paths[paths.str.lower().str.endswith((".json", XMP))]
    if there.empty:
        return set()
    names = set(photos) | set(photos.str.replace(r"\.\w+$", "", regex=True))
    return set(there[there.str.replace(r"\.\w+$", "", regex=True).isin(names)])


def label(top: Path, path: str) -> str | None:
    """Returns what may label the photo of a sidecar: keywords, or the key that holds a species."""
    if path.lower().endswith(XMP):
        return ", ".join(unlike_folders(top, path)[:_SHOWN]) or None
    try:
        return _label(forms.load(top / path))
    except (UserError, RecursionError):  # nested deeper than any program writes it
        return None


def unlike_folders(top: Path, path: str) -> list[str]:
    """Returns the keywords in a photo or a sidecar; none if one is the name of its folder."""
    words = keywords(top / path)
    inside = {labels.comparable(part) for part in path.split("/")[:-1]}
    return [] if any(labels.comparable(word) in inside for word in words) else words


def _label(document: Any, below: str = "") -> str | None:
    """Returns the key, at any depth, that holds a species or keywords; None if there is none."""
    if isinstance(document, list):
        inner = (_label(value, below) for value in document)
    elif isinstance(document, dict):
        inner = (
            _label(value, below if below and key == "name" else str(key))
            for key, value in document.items()
        )
    else:
        is_text = isinstance(document, str) and bool(_WORD.search(document))
        return below if is_text and table.letters(below) in (*table.SPECIES, *_KEYWORDS) else None
    return next(filter(None, inner), None)


def keywords(path: Path) -> list[str]:
    """Returns the keywords in a photo or a sidecar, each once, parts of a tree of keywords apart.

    A file that this project wrote or that cannot be read has none.
    """
    with suppress(OSError), path.open("rb") as file:
        data = file.read(_BYTES)
        items = [item for _, content in _LISTS.findall(data) for item in _ITEM.findall(content)]
        if items and _OURS not in data:
            texts = (unescape(item.decode("utf-8", errors="replace")) for item in items)
            return list(dict.fromkeys(part for text in texts for part in re.split(r"[|/]", text)))
    return []
