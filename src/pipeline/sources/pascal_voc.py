"""Reads Pascal VOC: an XML for each picture, with its objects and their boxes.

http://host.robots.ox.ac.uk/pascal/VOC (and LabelImg, which writes the same). The XML files lie in
`Annotations/` beside `JPEGImages/`, or beside the pictures. A picture whose XML has no object gets
no species, for nobody says that it is empty.
"""

from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

import pandas as pd

from pipeline.sources import annotations

_COLUMNS = ["path", "species", "x", "y", "w", "h", "width", "height"]


def is_one(document: Any) -> bool:
    """Returns whether a document is the XML of one picture."""
    return (
        isinstance(document, Element)
        and document.tag == "annotation"
        and document.find("filename") is not None
    )


def read(documents: dict[str, Element], folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns the objects of each picture.

    Args:
        documents: The root of each XML, by its path below the folder.
        folder: One that holds both the XML files and the pictures.
        files: Paths on the disk below it.

    Returns:
        Annotations (`annotations.frame`), whose paths are those of files where one fits.

    Raises:
        ValueError: A corner of a box is no number; names the file.
    """
    by_stem = defaultdict(list)
    for file in files:
        if file not in documents:
            by_stem[PurePosixPath(file).stem].append(file)
    rows = []
    for path, root in documents.items():
        sides = [_text(root, f"size/{side}") for side in ("width", "height")]
        picture = _picture(path, root, by_stem)
        objects = [(_text(one, "name"), *_box(path, one)) for one in root.findall("object")]
        rows += [(picture, *row, *sides) for row in objects or [[None] * 5]]
    return annotations.frame(**pd.DataFrame(rows, columns=_COLUMNS))


def _picture(path: str, root: Element, by_stem: dict[str, list[str]]) -> str:
    """Returns the picture that an XML is of: the nearest with its name, or the name it has in it.

    Programs write the folder of the machine where they ran, and photos are renamed with their XML:
    so the XML's own name comes first.
    """
    own = PurePosixPath(path)
    written = PurePosixPath((_text(root, "filename") or own.name).replace("\\", "/"))
    for stem in (own.stem, written.stem):
        there = by_stem.get(stem, [])
        for folder in (own.parent, own.parent.parent):
            below = [file for file in there if _near(PurePosixPath(file), folder)]
            if len(below) == 1:
                return below[0]
    return written.name


def _near(file: PurePosixPath, folder: PurePosixPath) -> bool:
    """Returns whether a file lies in a folder, or in one of its folders."""
    return folder in (file.parent, file.parent.parent)


def _box(path: str, one: Element) -> list[float | None]:
    corners = [_text(one, f"bndbox/{name}") for name in ("xmin", "ymin", "xmax", "ymax")]
    if None in corners:
        return [None] * 4
    try:
        x, y, right, bottom = (float(corner or "") for corner in corners)
    except ValueError:
        raise ValueError(
            f"a box of {path} has the corners {', '.join(map(str, corners))}"
        ) from None
    return [x, y, right - x, bottom - y]


def _text(element: Element, name: str) -> str | None:
    return (element.findtext(name) or "").strip() or None
