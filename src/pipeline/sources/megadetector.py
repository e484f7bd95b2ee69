"""Reads MegaDetector's boxes of animals from a JSON file in any folder.

Three layouts are read: that of the MegaDetector package ("batch results", boxes in shares of the
sides; https://lila.science/megadetector-output-format), the plain list that newer releases write
(corners in pixels), and the `predictions.json` of SpeciesNet, which runs MegaDetector first
(https://github.com/google/cameratrapai). Species in them are a machine's guesses and no labels.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.sources import annotations

# What MegaDetector 5 is used with where its results name no threshold of their own.
_CONFIDENCE = 0.2
_SPECIESNET = {"1": "animal", "2": "human", "3": "vehicle"}


def is_one(document: Any) -> bool:
    """Returns whether MegaDetector or SpeciesNet wrote a JSON document."""
    if isinstance(document, dict):
        return _are_files(document.get("predictions"), "filepath") or (
            "detection_categories" in document and isinstance(document.get("images"), list)
        )
    return _are_files(document, "file", "detections")


def read(document: dict | list, folder: Path, files: pd.Series) -> pd.DataFrame:
    """Returns boxes of animals above the confidence threshold: path, x, y, w, h."""
    least, names, results, key = _CONFIDENCE, {}, document, "file"
    if isinstance(document, dict) and "predictions" in document:
        names, results, key = _SPECIESNET, document["predictions"], "filepath"
    elif isinstance(document, dict):
        detector = document.get("info", {}).get("detector_metadata", {})
        least = detector.get("typical_detection_threshold", _CONFIDENCE)
        names, results = document["detection_categories"], document["images"]
    rows = pd.DataFrame(
        [
            (result[key], *detection["bbox"])
            for result in results
            for detection in result.get("detections") or ()  # null where it could not be read
            if names.get(detection["category"], detection["category"]) == "animal"
            and detection.get("conf", detection.get("confidence")) >= least
        ],
        columns=["path", "x", "y", "w", "h"],
    )
    if isinstance(document, list):
        rows = rows.assign(w=rows["w"] - rows["x"], h=rows["h"] - rows["y"])
    return annotations.frame(**rows)


def _are_files(rows: Any, *keys: str) -> bool:
    return (
        isinstance(rows, list)
        and bool(rows)
        and all(isinstance(row, dict) and set(row) >= set(keys) for row in rows)
    )
