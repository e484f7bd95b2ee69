"""Tiny recognisers that name pictures by their colour, each good or bad in its own way, and uneven
test photos: species of 156 to 7 photos, of which 96 % to 29 % are found, in groups of 1 to 8."""

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.core import params
from pipeline.evaluate.scores import Scores
from pipeline.inference import decoding
from pipeline.inference.litert import Network
from pipeline.networks import keras_setup, litert_export
from pipeline.register import packaging, versions

SIZE, LABELS = 32, ("blue", "green", "red", "white")
LIMITS = params.Register(  # no two alike, so that none can stand in for another
    min_accuracy=0.7,
    min_macro_f1=0.65,
    min_species_recall=0.6,
    max_calibration_error=0.15,
    max_latency_ms=50.0,
    max_size_mb=0.5,
    max_drop=0.02,
    must_be_better=False,
)
CALIBRATION = {"temperature": 1.0, "unknown_below": 0.5, "set_from": 0.1}
SURE = 3.0  # some nine in ten answers are right, and this says so

# What is in a picture, what it shows, and the sizes of the groups of such photos, over and over.
KINDS = (
    ("blue", "blue", 150, (1, 1, 4, 2, 7)),
    ("red", "blue", 6, (2, 4)),
    ("red", "red", 60, (3, 1, 1)),
    ("blue", "red", 9, (5, 4)),
    ("yellow", "red", 12, (8, 3, 1)),  # the good network sees red, the worse one green
    ("green", "green", 21, (1, 2, 6)),
    ("blue", "green", 7, (1, 6)),
    ("white", "white", 2, (1,)),
    ("blue", "white", 5, (5,)),
)
LEARNED = tuple(f"{i:064x}" for i in range(41))  # of which the last eleven validated it


def weights(sure: float, redder: float) -> tuple[np.ndarray, np.ndarray]:
    """A head on the mean red, green and blue: logits of up to `sure` for each colour."""
    head = np.zeros((3, len(LABELS)))
    head[2, 0] = head[1, 1] = head[0, 2] = 1
    head[0, 2] += redder
    head[:, 3] = 1
    return np.float32(head * sure / 255), np.float32([0, 0, 0, -1.3 * sure])


@cache
def _converted() -> tuple:
    """The good network in Keras and in LiteRT, made once: to convert it takes seconds."""
    keras_setup.seed(0)
    keras = keras_setup.keras()
    inputs = keras.Input((SIZE, SIZE, 3))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)
    answers = keras.layers.Dense(len(LABELS), activation="softmax")(mean)
    model = keras.Model(inputs, answers)
    model.layers[-1].set_weights(weights(SURE, 0.1))
    return model, litert_export.to_litert(model)


def network(
    folder: Path, sure: float = SURE, redder: float = 0.1, labels: tuple[str, ...] = LABELS
) -> Path:
    """Writes a network as `models/final`.

    Args:
        folder: Where.
        sure: How sure it is of a pure colour.
        redder: How much more red weighs than green: below 0, it takes yellow for green.
        labels: What it calls the colours.
    """
    model, litert = _converted()
    head = weights(sure, redder)
    for before, after in zip(weights(SURE, 0.1), head, strict=True):
        before, after = np.ascontiguousarray(before.T), np.ascontiguousarray(after.T)
        assert litert.count(before.tobytes()) == 1
        litert = litert.replace(before.tobytes(), after.tobytes())
    model.layers[-1].set_weights(head)
    file = folder.with_suffix(".keras")
    model.save(file)
    about = litert_export.Description(labels, "crop", 10**8, CALIBRATION)
    litert_export.write(folder, file, litert, about)
    return folder


def pictures(root: Path) -> pd.DataFrame:
    """The test photos, in no order.

    Returns:
        photo, path, box (none), actual and group.
    """
    rows = []
    for colour, actual, count, sizes in KINDS:
        Image.new("RGB", (40, 50), colour).save(root / f"{colour}.png")
        groups = np.repeat(np.arange(count), np.resize(sizes, count))[:count]
        for i, group in enumerate(groups):
            photo = hashlib.sha256(f"{colour} {actual} {i}".encode()).hexdigest()
            rows.append((photo, f"{colour}.png", "", actual, f"{colour} {actual} {group}"))
    table = pd.DataFrame(rows, columns=["photo", "path", "box", "actual", "group"])
    return table.sample(frac=1, random_state=7, ignore_index=True)


def tested(final: Path, test: pd.DataFrame, root: Path, run_id: str = "") -> packaging.Challenger:
    """Tests a recogniser as evaluate does.

    Args:
        final: What `network` wrote.
        test: What `pictures` gave.
        root: Where the pictures are.
        run_id: The run that trained it.
    """
    labels = tuple(json.loads((final / "labels.json").read_text())["labels"])
    asked = Network((final / "model.tflite").read_bytes())
    answers = {
        path: asked.one(decoding.square((root / path).read_bytes(), SIZE, "crop", 10**8))
        for path in test["path"].unique()
    }
    probabilities = np.stack([answers[path] for path in test["path"]])
    targets = test["actual"].map({name: i for i, name in enumerate(labels)}).to_numpy()
    metrics = {
        "test": Scores(probabilities, targets).summary(),
        "keras_and_litert": {
            "pictures": len(test),
            "same_label": len(test),
            "largest_difference": 4e-4,
        },
        "drawn": True,
        "run_id": run_id,
    }
    predictions = test.drop(columns="group").assign(
        predicted=np.array(labels)[probabilities.argmax(axis=1)],
        probability=probabilities.max(axis=1),
    )
    parts = ["train"] * 30 + ["validation"] * 11
    known = pd.DataFrame({"photo": LEARNED, "species": "red", "split": parts, "group": LEARNED})
    split = test[["photo", "group"]].assign(species=test["actual"], split="test")
    split = pd.concat([split[::-1], known], ignore_index=True)
    manifest = split[["photo", "species"]].assign(origin="drawn", licence="CC0-1.0")
    species = Scores(probabilities, targets, labels).per_species()
    return packaging.Challenger(final, metrics, species, predictions, manifest, split, root)


def store(folder: Path) -> str:
    """Makes an MLflow database in a folder; gives its address."""
    (folder / "mlflow.db").write_bytes(_empty())
    return f"sqlite:///{folder}/mlflow.db"


@cache
def _empty() -> bytes:
    """A database without runs and versions, made once: its tables take MLflow seconds."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        try:
            versions.versions()
        finally:
            del os.environ["MLFLOW_TRACKING_URI"]
            if before is not None:
                os.environ["MLFLOW_TRACKING_URI"] = before
        return (Path(folder) / "mlflow.db").read_bytes()
