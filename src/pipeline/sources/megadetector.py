"""What MegaDetector found: boxes of animals, in a JSON file beside the photos.

Both layouts are read: that of the MegaDetector package ("batch results", boxes in shares of the
sides) and the plain list that newer releases write (corners in pixels).
"""

from typing import Any

import pandas as pd

from pipeline.sources import annotations

# What MegaDetector 5 is used with where its results name no threshold of their own.
_CONFIDENCE = 0.2


def is_one(document: Any) -> bool:
    """Whether a JSON document is what MegaDetector writes."""
    if isinstance(document, dict):
        return "detection_categories" in document and isinstance(document.get("images"), list)
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(row, dict) and {"file", "detections"} <= set(row) for row in document)
    )


def read(document: dict | list) -> pd.DataFrame:
    """The boxes of animals that it was sure enough of: path, x, y, w, h (`annotations.frame`)."""
    least, names, files = _CONFIDENCE, {}, document
    if isinstance(document, dict):
        about = document.get("info", {}).get("detector_metadata", {})
        least = about.get("typical_detection_threshold", _CONFIDENCE)
        names, files = document["detection_categories"], document["images"]
    rows = pd.DataFrame(
        [
            (file["file"], *found["bbox"])
            for file in files
            for found in file.get("detections") or ()  # null where the file could not be read
            if names.get(found["category"], found["category"]) == "animal"
            and found.get("conf", found.get("confidence")) >= least
        ],
        columns=["path", "x", "y", "w", "h"],
    )
    if isinstance(document, list):
        rows = rows.assign(w=rows["w"] - rows["x"], h=rows["h"] - rows["y"])
    return annotations.frame(**rows)
