"""Tiny recognisers that tell red pictures from blue ones, each good or bad in its own way."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline import engine, evaluation, export, packaging, params, photos
from pipeline.litert import Network

SIZE, LABELS = 32, ("blue", "red")
LIMITS = params.Register(
    min_accuracy=0.6,
    min_macro_f1=0.6,
    min_species_recall=0.6,
    max_calibration_error=0.1,
    max_latency_ms=0.5,
    max_size_mb=0.5,
    max_drop=0.02,
    must_be_better=False,
    serve=False,
)
CALIBRATION = {"temperature": 1.0, "unknown_below": 0.5, "set_from": 0.1}
SURE = 0.004  # of a colour: one in ten answers is wrong, and this says so


def network(folder: Path, sure: float = SURE, green: float = 0.0, slow: bool = False) -> Path:
    """Writes a network as `models/final`.

    Args:
        folder: Where.
        sure: How much a level of red or blue weighs.
        green: How much a level of green speaks against red: a mistake where red is mixed with it.
        slow: Whether it works hard first, for nothing.
    """
    keras = engine.keras(0)
    layers = keras.layers
    inputs = keras.Input((SIZE, SIZE, 3))
    mean = layers.GlobalAveragePooling2D()(inputs)
    if slow:
        idle = layers.Conv2D(64, 7, padding="same", activation="relu")(inputs)
        idle = layers.Conv2D(64, 7, padding="same", activation="relu")(idle)
        mean = layers.Add()([mean, layers.Dense(3)(layers.GlobalAveragePooling2D()(idle))])
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", name="head")(mean))
    if slow:
        model.layers[-3].set_weights([np.zeros((64, 3)), np.zeros(3)])
    weights = np.array([[-sure, sure], [green, -green], [sure, -sure]], dtype=np.float32)
    model.get_layer("head").set_weights([weights, np.zeros(2)])
    file = folder.with_suffix(".keras")
    model.save(file)
    export.write(folder, file, export.to_litert(model), LABELS, "crop", 10**8, CALIBRATION)
    return folder


def relabelled(folder: Path, final: Path, labels: tuple[str, ...]) -> Path:
    """The same network under other labels."""
    network = (final / "model.tflite").read_bytes()
    export.write(folder, final / "model.keras", network, labels, "crop", 10**8, CALIBRATION)
    return folder


def pictures(root: Path) -> pd.DataFrame:
    """300 test photos: 260 easy ones, 30 that nobody gets right, 10 where red is mixed with green.

    Returns:
        photo, path, box (none) and actual.
    """
    kinds = [("blue", "blue")] * 130 + [("red", "red")] * 130
    kinds += [("red", "blue")] * 15 + [("blue", "red")] * 15 + [("yellow", "red")] * 10
    for colour in {colour for colour, _ in kinds}:
        Image.new("RGB", (40, 50), colour).save(root / f"{colour}.png")
    rows = [(f"{i:064x}", f"{colour}.png", "", actual) for i, (colour, actual) in enumerate(kinds)]
    return pd.DataFrame(rows, columns=["photo", "path", "box", "actual"])


def tested(
    final: Path, test: pd.DataFrame, root: Path, run_id: str = "", learned: tuple[str, ...] = ()
) -> packaging.Challenger:
    """Tests a recogniser as evaluate does.

    Args:
        final: What `network` wrote.
        test: What `pictures` gave.
        root: Where the pictures are.
        run_id: The run that trained it.
        learned: Photos that it has learned from.
    """
    about = json.loads((final / "labels.json").read_text())
    labels = tuple(about["labels"])
    files = {path: (root / path).read_bytes() for path in test["path"].unique()}
    squares = {path: photos.square(data, SIZE, "crop", 10**8) for path, data in files.items()}
    asked = Network((final / "model.tflite").read_bytes())
    answers = {path: asked.one(square) for path, square in squares.items()}
    probabilities = np.stack([answers[path] for path in test["path"]])
    targets = test["actual"].map({name: i for i, name in enumerate(labels)}).to_numpy()
    metrics = {
        "test": evaluation.summarise(probabilities, targets),
        "keras_and_litert": {
            "pictures": len(test),
            "same_label": len(test),
            "largest_difference": 1e-6,
        },
        "drawn": True,
        "run_id": run_id,
    }
    predictions = test.assign(
        predicted=np.array(labels)[probabilities.argmax(axis=1)],
        probability=probabilities.max(axis=1),
    )
    split = test.assign(species=test["actual"], group=test["photo"], split="test")
    known = pd.DataFrame({"photo": learned or ("f" * 64,), "species": "red", "split": "train"})
    split = pd.concat([split, known.assign(group=known["photo"])], ignore_index=True)
    manifest = split[["photo", "species"]].assign(origin="drawn", licence="CC0-1.0")
    species = evaluation.per_species(probabilities, targets, labels)
    return packaging.Challenger(final, metrics, species, predictions, manifest, split, root)
