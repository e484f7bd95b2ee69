"""Writes the network and its description, with which a browser answers photos by itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated

from pipeline.app.champion import Model
from pipeline.inference import checksums
from pipeline.inference.novelty import FILE, NoveltyDetector

NETWORK = "model.tflite"


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


def network(model: Model) -> bytes:
    """Returns the network for one picture at a time.

    Keras' export leaves the number of pictures open, and LiteRT.js takes only a number that is
    known: 1 is written in its place, which changes no weight and no answer.
    """
    content = bytearray((model.folder / NETWORK).read_bytes())
    graphs = schema_py_generated.Model.GetRootAs(content)
    for graph in (graphs.Subgraphs(i) for i in range(graphs.SubgraphsLength())):
        for i in range(graph.TensorsLength()):
            shape = graph.Tensors(i).ShapeSignatureAsNumpy()  # a view into `content`, or 0
            if isinstance(shape, np.ndarray):
                shape[shape == -1] = 1
    return bytes(content)


def write(model: Model, folder: Path) -> None:
    """Writes both files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NETWORK).write_bytes(network(model))
    (folder / "recogniser.json").write_text(json.dumps(describe(model)), encoding="utf-8")
