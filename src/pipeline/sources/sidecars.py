"""Finds what files that describe one photo each, as phones and photo programs write, say of it."""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.errors import UserError
from pipeline.sources import forms, keywords, labels, table

_SHOWN = 3  # keywords in a message
_WORD = re.compile(r"[^\W\d_]{2}")
# Where they write what is shown, beside columns called as species are.
_KEYWORDS = {"tag", "tags", "keyword", "keywords", "subject", "hierarchicalsubject", "labels"}


def named_after(paths: pd.Series, photos: pd.Series) -> set[str]:
    """Returns the JSON and XMP files that are named after one photo beside them."""
    there = paths[paths.str.lower().str.endswith((".json", keywords.SUFFIX))]
    names = set(photos) | set(photos.str.replace(r"\.\w+$", "", regex=True))
    return set(there[there.str.replace(r"\.\w+$", "", regex=True).isin(names)])


def label(top: Path, path: str) -> str | None:
    """Returns what may label the photo of a sidecar: keywords, or the key that holds a species.

    Args:
        top: The collection's top folder.
        path: The sidecar, below it.
    """
    if path.lower().endswith(keywords.SUFFIX):
        return ", ".join(unlike_folders(top, path)[:_SHOWN]) or None
    try:
        return _label(forms.load(top / path))
    except UserError:
        return None


def unlike_folders(top: Path, path: str) -> list[str]:
    """Returns the keywords in a photo or a sidecar; none if one is the name of its folder."""
    words = keywords.read(top / path)
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
        return below if is_text and table.is_species_name(below, _KEYWORDS) else None
    return next(filter(None, inner), None)
