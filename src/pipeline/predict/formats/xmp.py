"""Keywords in sidecar files, which digiKam, darktable and Lightroom read: `photo.jpg.xmp`.

XMP as of ISO 16684-1; the keyword is in `dc:subject`. The photos themselves are never touched.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pipeline.core import atomic

_SIDECAR = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/">
   <xmp:CreatorTool>animal</xmp:CreatorTool>
   <dc:subject><rdf:Bag><rdf:li>{keyword}</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""


def write(answers: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """Writes a sidecar beside each photo that was answered and is no part of an archive.

    A sidecar that is not to the byte what this function writes stays as it is.

    Returns:
        How many were written, and how many left alone.
    """
    written = foreign = 0
    for answer in answers:
        photo = Path(answer["path"])
        if answer["error"] is not None or not photo.is_file():
            continue
        sidecar = photo.with_name(f"{photo.name}.xmp")
        if os.path.lexists(sidecar) and not _is_ours(sidecar):
            foreign += 1
            continue
        with atomic.whole(sidecar) as partial:
            keyword = "unknown" if answer["unknown"] else escape(answer["species"])
            partial.write_text(_SIDECAR.format(keyword=keyword), encoding="utf-8")
        written += 1
    return written, foreign


def _is_ours(sidecar: Path) -> bool:
    if sidecar.is_symlink() or not sidecar.is_file():
        return False
    before, after = (part.encode() for part in _SIDECAR.split("{keyword}"))
    content = sidecar.read_bytes()
    keyword = content[len(before) : len(content) - len(after)]
    return content == before + keyword + after and b"<" not in keyword
