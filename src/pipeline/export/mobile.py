"""Writes a recogniser for phones."""

import json
import shutil
from pathlib import Path
from string import Template

from pipeline.core.errors import UserError
from pipeline.inference import checksums
from pipeline.inference.litert import Network

_FITS = {
    "crop": ("cut the middle square out of it", "ImageOps.fit(photo, ({size}, {size}))"),
    "pad": (
        "shrink it and pad it with grey (128, 128, 128) to a square",
        "ImageOps.pad(photo, ({size}, {size}), color=(128, 128, 128))",
    ),
    "stretch": ("stretch it to a square", "photo.resize(({size}, {size}))"),
}


def for_phones(recogniser: Path, folder: Path) -> None:
    """Writes both networks, the labels, a metadata file and a page on how to use them.

    Args:
        recogniser: What evaluate wrote, or the same of a registered version.
        folder: Where; it is there already.

    Raises:
        UserError: The recogniser has one precision only.
    """
    about = json.loads((recogniser / "labels.json").read_text())
    networks = {name: precision(recogniser, name) for name in ("float", "int8")}
    for name, path in networks.items():
        shutil.copyfile(path, folder / f"{name}.tflite")
    labels, calibration = about["labels"], about["calibration"]
    size = Network(networks["int8"].read_bytes(), workers=1).size
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    described = {
        "input": {
            "shape": [1, size, size, 3],
            "type": "float32",
            "colours": "RGB",
            "range": [0, 255],
            "normalisation": "inside the network",
            "fit": about["fit"],
        },
        "output": {"shape": [1, len(labels)], "type": "float32", "meaning": "probabilities"},
        "labels": labels,
        **calibration,
        "calibrated_for": "float" if (recogniser / "int8.tflite").exists() else "int8",
        "sha256": {f"{name}.tflite": checksums.sha256(path) for name, path in networks.items()},
    }
    written = json.dumps(described, indent=2, ensure_ascii=False)
    (folder / "metadata.json").write_text(f"{written}\n", encoding="utf-8")
    fit, code = _FITS[about["fit"]]
    megabytes = {f"{n}_mb": f"{path.stat().st_size / 1e6:.1f}" for n, path in networks.items()}
    page = Template(Path(__file__).with_name("phones.md").read_text(encoding="utf-8")).substitute(
        species=len(labels),
        size=size,
        fit=fit,
        code=code.format(size=size),
        served=described["calibrated_for"],
        **megabytes,
    )
    (folder / "README.md").write_text(page, encoding="utf-8")


def precision(recogniser: Path, name: str) -> Path:
    """The file of the network in `float` or `int8`: under its own name, or the one that serves.

    Raises:
        UserError: The recogniser has the other one only.
    """
    own, serving = recogniser / f"{name}.tflite", recogniser / "model.tflite"
    other = recogniser / {"float": "int8.tflite", "int8": "float.tflite"}[name]
    if own.exists():
        return own
    if other.exists():
        return serving
    raise UserError(f"{recogniser} has one precision only: evaluate and register it anew")
