"""Writes the network and its description, with which a browser answers photos by itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.app.champion import Model
from pipeline.inference import checksums
from pipeline.inference.novelty import FILE, NoveltyDetector

NETWORK = "model.tflite"  # takes one picture at a time, as LiteRT.js does


def describe(model: Model) -> dict[str, Any]:
    """Describes a recogniser for `static/js/local.js`: what is shown, and what is computed with.

    Args:
        model: The recogniser.

    Returns:
        Values that JSON can hold.
    """
    file = model.folder / FILE
    detector = NoveltyDetector.from_bytes(file.read_bytes()) if file.exists() else None
    return {
        **model.describe(),
        "size": model.recogniser.network.size,
        "calibration": model.about["calibration"],
        "imagenet": model.about.get("imagenet"),
        "novelty": detector and {name: _listed(value) for name, value in vars(detector).items()},
        "sha256": checksums.sha256(model.folder / NETWORK),
    }


def _listed(value: np.ndarray | float) -> list | float:
    """Returns an array as lists of floats with six significant digits."""
    if not isinstance(value, np.ndarray):
        return value
    return [_listed(row) for row in value] if value.ndim > 1 else [float(f"{x:.6g}") for x in value]


def write(model: Model, folder: Path) -> None:
    """Writes both files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model.folder / NETWORK, folder / NETWORK)
    (folder / "recogniser.json").write_text(json.dumps(describe(model)), encoding="utf-8")
