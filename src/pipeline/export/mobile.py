"""Writes a recogniser for phones."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.export import precision
from pipeline.inference import checksums, crops, novelty
from pipeline.inference.litert import MAIN, Network

if TYPE_CHECKING:
    import jinja2


def for_phones(recogniser: Path, folder: Path, networks: Mapping[str, bytes]) -> None:
    """Writes networks, the labels, what tells unknown animals, metadata and a page on their use.

    Args:
        recogniser: Folder that evaluate wrote, or the same of a registered version.
        folder: Where; it exists.
        networks: `.tflite` contents by precision: `float`, and `int8` unless it was left out.
    """
    description = json.loads((recogniser / "labels.json").read_text())
    labels, network = description["labels"], Network(networks["float"], workers=1)
    size, imagenet = network.size, description.get("imagenet")
    for name, contents in networks.items():
        (folder / f"{name}.tflite").write_bytes(contents)
    detector = recogniser / novelty.FILE
    if detector.exists():
        shutil.copyfile(detector, folder / novelty.FILE)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    crop = crops.SubjectCrop.load(recogniser)
    cut_out = crop and {
        "find": crop.find,
        "whole_too": crop.views,
        "detector": crop.detector,
        "parts": [{"margin": margin, "least": least} for margin, least in crop.parts],
    }
    metadata = {
        "input": {
            "name": network.input,
            "shape": [1, size, size, 3],
            "type": "float32",
            "colours": "RGB",
            "range": [0, 255],
            "normalisation": "inside the network",
            "fit": description["fit"],
            "cut_out": cut_out,
        },
        "output": {"name": MAIN, "shape": [1, len(labels)], "type": "float32"},
        "labels": labels,
        **description["calibration"],
        **(imagenet or {}),
        "calibrated_for": precision.served(recogniser),
        "sha256": {
            f"{name}.tflite": checksums.sha256(folder / f"{name}.tflite") for name in networks
        },
    }
    written = json.dumps(metadata, indent=2, ensure_ascii=False)
    (folder / "metadata.json").write_text(f"{written}\n", encoding="utf-8")
    page = _template().render(
        metadata,
        network="int8" if "int8" in networks else "float",
        novelty=detector.exists(),
        megabytes={name: f"{len(contents) / 1e6:.1f}" for name, contents in networks.items()},
    )
    (folder / "README.md").write_text(page, encoding="utf-8")


def _template() -> "jinja2.Template":
    """Returns the page as a template; it takes the content of `metadata.json` and more."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # a page of Markdown, of numbers and words of this module
    )
    return environment.get_template("mobile.md.j2")
