"""Writes MegaDetector's batch output, format version 1.4, which Timelapse and AddaxAI read.

https://lila.science/megadetector-output-format. The recogniser classifies a photo and detects
nothing in it, so each photo has one detection whose box is the whole photo: of an animal, a person
or a vehicle. A blank photo has none. `seq_id`, as COCO Camera Traps calls it, is the photo's event.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.sources.labels import kind

_CATEGORIES = {"animal": "1", "human": "2", "vehicle": "3", "unknown": "1"}


def write(answers: Iterable[dict[str, Any]], labels: list[str], path: Path) -> None:
    """Writes the JSON file, a photo a line."""
    numbers = {label: str(i) for i, label in enumerate(labels)}
    head = {
        "info": {"format_version": "1.4", "classifier": "animal"},
        "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
        "classification_categories": {number: label for label, number in numbers.items()},
    }
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{json.dumps(head, ensure_ascii=False)[:-1]}, "images": [')
        for i, answer in enumerate(answers):
            image = json.dumps(_image(answer, numbers), ensure_ascii=False)
            file.write(f"{',' * bool(i)}\n{image}")
        file.write("\n]}\n")


def _image(answer: dict[str, Any], numbers: dict[str, str]) -> dict[str, Any]:
    image = {"file": answer["path"]}
    if answer["error"] is not None:
        return image | {"failure": answer["error"], "detections": None}
    if answer.get("event") is not None:
        image["seq_id"] = answer["event"]
    shown = kind(answer["species"])
    if shown == "blank" and not answer["unknown"]:
        return image | {"detections": []}
    # What is unknown may be anything; a reviewer looks for it among the animals.
    category = _CATEGORIES["animal" if shown == "blank" else shown]
    classifications = [[numbers[top["species"]], top["probability"]] for top in answer["top"]]
    detection = {
        "category": category,
        "conf": 1.0,
        "bbox": [0, 0, 1, 1],
        "classifications": classifications,
    }
    return image | {"detections": [detection]}
