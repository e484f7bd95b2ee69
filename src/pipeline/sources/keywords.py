"""Reads the keywords that Lightroom, digiKam and darktable write into photos and beside them.

XMP as of ISO 16684-1: a packet of XML in the photo, or a sidecar, `photo.jpg.xmp` or `photo.xmp`.
Photos are not labelled by them, for one photo has keywords of many kinds; they show that there are
labels which folders do not have.
"""

import re
from contextlib import suppress
from pathlib import Path
from xml.sax.saxutils import unescape

SUFFIX = ".xmp"
_BYTES = 2**18  # of a photo; the packet stands before the pixels
_LISTS = re.compile(
    rb"<(dc:subject|lr:hierarchicalSubject|digiKam:TagsList)\b[^>]*>(.*?)</\1>", re.DOTALL
)
_ITEM = re.compile(rb"<rdf:li[^>]*>([^<]+)</rdf:li>")
_OURS = b"<xmp:CreatorTool>animal</xmp:CreatorTool>"  # `animal predict --xmp`: a network's guesses


def read(path: Path) -> list[str]:
    """Returns the keywords in a photo or a sidecar, parts of a tree of keywords apart.

    Args:
        path: The file.

    Returns:
        The keywords, each once; none of a file that this project wrote or that cannot be read.
    """
    with suppress(OSError), path.open("rb") as file:
        data = file.read(_BYTES)
        items = [item for _, content in _LISTS.findall(data) for item in _ITEM.findall(content)]
        if items and _OURS not in data:
            texts = (unescape(item.decode("utf-8", errors="replace")) for item in items)
            return list(dict.fromkeys(part for text in texts for part in re.split(r"[|/]", text)))
    return []
