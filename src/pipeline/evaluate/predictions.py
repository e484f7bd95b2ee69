"""Runs networks over the pictures of a split, one batch in memory at a time."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
import pandas as pd

from pipeline.core.progress import track
from pipeline.dataset import views
from pipeline.dataset.shards import Shards
from pipeline.inference.calibration import Calibration
from pipeline.inference.litert import MAIN, Network, view_mean
from pipeline.inference.open_set import OpenSetRule


def photos_of(
    name: str, index: pd.DataFrame, manifest: pd.DataFrame, split: pd.DataFrame
) -> pd.DataFrame:
    """Lists the pictures of a split; of photos that have several views, the whole photo alone.

    Args:
        name: `train`, `validation` or `test`.
        index: The resized shards' index.
        manifest: A row a photo, as ingest wrote it.
        split: A row a photo with columns photo and split.

    Returns:
        photo, species, box (the part of the photo that the picture is; null for all of it), path,
        group (near-duplicates share one), event (frames of one burst share one) and location (the
        camera; null where it is not known), and where photos have several views `views.SUBJECT`,
        the box [x, y, w, h] that they are around, as JSON, null for a photo that has but one. The
        index of the frame is the pictures' positions in the shards.
    """
    photos, splits = manifest.set_index("photo"), split.set_index("photo")["split"]
    chosen = (index["photo"].map(splits) == name) & (views.counts(index) > 0)
    columns = ["path", "group", "event", "location"]
    pictures = index.loc[chosen, ["photo", "species", "box"]].join(photos[columns], on="photo")
    if views.COLUMN not in index:
        return pictures
    several = pd.Series(views.counts(index), index.index)[pictures.index] > 1
    boxes = pictures["photo"].map(photos["detections"]).where(several)
    first = boxes.map(lambda text: json.dumps(json.loads(text)[0]), na_action="ignore")
    return pictures.assign(**{views.SUBJECT: first})


def predict(network: bytes, shards: Shards, pictures: pd.DataFrame, what: str) -> np.ndarray:
    """Runs a LiteRT network over single pictures on every core.

    Args:
        network: The contents of a `.tflite` file.
        shards: The pictures.
        pictures: Which of them; its index is their positions in the shards.
        what: What the progress line calls them.

    Returns:
        Probabilities, float32 (n, species).
    """
    rows = _outputs(network, shards, pictures.index.to_numpy(), what)
    return np.stack([row[MAIN] for row in rows])


def outputs(
    network: bytes, shards: Shards, pictures: pd.DataFrame, what: str
) -> Iterator[dict[str, np.ndarray]]:
    """Yields all outputs of a LiteRT network for each picture, the mean over views where it is one.

    Args:
        network: The contents of a `.tflite` file.
        shards: The pictures.
        pictures: Which of them, as `photos_of` lists them; its index is their positions in the
            shards.
        what: What the progress line calls them.
    """
    counts, wholes = views.counts(shards.index), pictures.index.to_numpy()
    rows = _outputs(network, shards, views.pictures(counts, wholes), what)
    for length in counts[wholes].tolist():
        yield view_mean(list(islice(rows, length)))


def _outputs(
    network: bytes, shards: Shards, positions: np.ndarray, what: str
) -> Iterator[dict[str, np.ndarray]]:
    """Yields all outputs of a LiteRT network for each picture, as `Network.outputs` does."""
    run = Network(network)
    batches = track(shards.batches(positions), len(positions), f"answer {what}", "pictures", len)
    for batch in batches:
        yield from run.map_ordered(run.outputs, batch)


def answers(
    rows: Iterable[Mapping[str, np.ndarray]], calibration: Calibration, rule: OpenSetRule
) -> tuple[np.ndarray, list[str]]:
    """Answers pictures as serving does.

    Args:
        rows: All outputs of the served network for each picture.
        calibration: Of its probabilities.
        rule: What tells known species, unknown animals and no animal apart.

    Returns:
        Calibrated probabilities, float64 (n, species), and the kind of each answer.
    """
    probabilities, kinds = [], []
    for row in rows:
        probabilities.append(calibration.apply(row[MAIN]))
        kinds.append(rule.answer_kind(row, float(probabilities[-1].max()))["kind"])
    return np.stack(probabilities), kinds
