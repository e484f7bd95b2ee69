"""Writes keywords to sidecar files, which digiKam, darktable and Lightroom read.

XMP as of ISO 16684-1; the keyword is in `dc:subject` and, for Lightroom's tree of keywords, in
`lr:hierarchicalSubject`. The photos themselves are never touched.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pipeline.core import atomic
from pipeline.core.errors import UserError

NAMES = ("photo.jpg.xmp", "photo.xmp")  # what digiKam and darktable want, and what Lightroom does
_SIDECAR = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/">
   <xmp:CreatorTool>animal</xmp:CreatorTool>
   <dc:subject><rdf:Bag><rdf:li>{keyword}</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag><rdf:li>{keyword}</rdf:li></rdf:Bag></lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
_BEFORE, _BETWEEN, _AFTER = map(re.escape, _SIDECAR.split("{keyword}"))
_OURS = re.compile(f"{_BEFORE}([^<]*){_BETWEEN}\\1{_AFTER}".encode())


def write(answers: Iterable[dict[str, Any]], name: str = NAMES[0]) -> Counter[str]:
    """Writes a sidecar beside each photo that was answered and is no part of an archive.

    A sidecar that is not to the byte what this function writes stays as it is.

    Args:
        answers: A dictionary a photo, from `batch.answers`.
        name: One of `NAMES`: how the sidecar of `photo.jpg` is called.

    Returns:
        Counts of sidecars that were `written`; that stayed as they were, being of other programs
        (`foreign`) or of a photo of the same name but for its ending (`shared`); and that could not
        be written (`failed`).
    """
    counts: Counter[str] = Counter()
    written: set[Path] = set()
    for answer in answers:
        photo = Path(answer["path"])
        if answer["error"] is not None or not photo.is_file():
            continue
        sidecar = photo.with_suffix(".xmp") if name == "photo.xmp" else Path(f"{photo}.xmp")
        if sidecar in written:
            counts["shared"] += 1
            continue
        try:
            if os.path.lexists(sidecar) and not _is_ours(sidecar):
                counts["foreign"] += 1
                continue
            with atomic.atomic_write(sidecar) as partial:
                keyword = "unknown" if answer["unknown"] else escape(answer["species"])
                partial.write_text(_SIDECAR.format(keyword=keyword), encoding="utf-8")
        except OSError:
            counts["failed"] += 1
            continue
        counts["written"] += 1
        if name == "photo.xmp":
            written.add(sidecar)
    return counts


def check(paths: Iterable[str]) -> None:
    """Checks that sidecars can be written beside photos.

    Raises:
        UserError: A folder may not be written to.
    """
    for folder in dict.fromkeys(Path(path).parent for path in paths):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(
                f"{folder} may not be written to, so --xmp cannot put sidecars beside its photos: "
                "give yourself the right to, or leave --xmp out"
            )


def _is_ours(sidecar: Path) -> bool:
    if sidecar.is_symlink() or not sidecar.is_file():
        return False
    return _OURS.fullmatch(sidecar.read_bytes()) is not None
