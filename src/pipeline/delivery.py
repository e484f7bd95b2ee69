"""A recogniser for places other than this machine: phones, ONNX runtimes, an image for Docker."""

import importlib.util
import json
import shutil
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image

from pipeline import export, integrity
from pipeline.errors import UserError
from pipeline.export import Agreement
from pipeline.litert import Network

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
        "sha256": {f"{name}.tflite": integrity.sha256(path) for name, path in networks.items()},
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


def to_onnx(recogniser: Path, path: Path) -> Agreement:
    """Writes the network as ONNX and proves that it agrees with the one in float.

    Args:
        recogniser: As in `for_phones`.
        path: The file to write.

    Raises:
        UserError: The extra `onnx` is not installed, the Keras network is not there, or ONNX
            Runtime answers otherwise than LiteRT.
    """
    for needed in ("onnxruntime", "tf2onnx"):
        if importlib.util.find_spec(needed) is None:
            raise UserError(f"{needed} is not installed: pip install -e '.[onnx]'")
    import onnxruntime

    from pipeline import engine

    places = (recogniser / "model.keras", recogniser.absolute().parents[1] / "data" / "model.keras")
    keras_file = next((place for place in places if place.exists()), None)
    if keras_file is None:
        raise UserError(f"there is no model.keras beside {recogniser}; ONNX is made from it")
    model = engine.keras().saving.load_model(keras_file)
    network = Network(precision(recogniser, "float").read_bytes())
    pictures = _scenes(network.size)
    model(pictures[:1].astype(np.float32))  # Keras exports what was called once
    with engine.quiet():
        model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    (entry,) = session.get_inputs()
    (answers,) = session.run(None, {entry.name: pictures.astype(np.float32)})
    return export.compare(answers, network(pictures), names="the ONNX and the LiteRT network")


def image_context(recogniser: Path, folder: Path) -> None:
    """Writes what `docker build` needs for an image that serves a registered version.

    It is what `mlflow models build-docker` builds from.

    Args:
        recogniser: Of a registered version.
        folder: Where to.

    Raises:
        UserError: It is no registered version's.
    """
    version = recogniser.absolute().parents[1]
    if not (version / "MLmodel").exists():
        raise UserError(f"{recogniser} is no registered version; say which with --model")
    from mlflow.models.flavor_backend_registry import get_flavor_backend

    backend = get_flavor_backend(str(version), docker_build=True, env_manager=None)
    backend.generate_dockerfile(str(version), str(folder))


def _scenes(size: int, count: int = 64) -> np.ndarray:
    """Pictures that show nothing: colours and edges of every coarseness."""
    rng = np.random.default_rng(0)
    sides = np.geomspace(2, size, count).astype(int)
    noise = [rng.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides]
    return np.stack([np.asarray(Image.fromarray(n).resize((size, size))) for n in noise])
