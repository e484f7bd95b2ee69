"""Measures how a recogniser answers worsened pictures."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.progress import track
from pipeline.dataset import views
from pipeline.dataset.sampling import sample
from pipeline.dataset.shards import Shards
from pipeline.evaluate.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from pipeline.inference.calibration import Calibration
from pipeline.inference.litert import MAIN, Network, view_mean
from pipeline.train.metrics import calibration_error, positions

PHOTOS = 40  # each is worsened once by each corruption, by each at another strength
MIDDLE = 3  # the strength at which the calibration error is measured


def measure(
    network: bytes,
    shards: Shards,
    test: pd.DataFrame,
    labels: tuple[str, ...],
    calibration: Calibration,
) -> dict[str, Any]:
    """Measures accuracy under corruptions on a sample of the test photos.

    Of a photo that has several views, each is worsened alike, and the answers are pooled.

    Args:
        network: The network that is served, as the contents of a `.tflite` file.
        shards: The pictures.
        test: The test photos, with their species; its index is the positions of their pictures in
            the shards.
        labels: The species, in the order of the network's answers.
        calibration: Of its answers.

    Returns:
        photos, the size of the sample; clean_accuracy on it as it is; accuracy over all its
        worsened copies, and relative, its share of the clean one; calibration_error at strength 3;
        and corruptions and strengths, lists with the accuracy under each.
    """
    photos, counts = sample(test, PHOTOS), views.counts(shards.index)
    targets, wholes = positions(photos["species"], labels), photos.index.to_numpy()
    pictures = shards.take(views.pictures(counts, wholes))
    photo_of = np.repeat(np.arange(len(photos)), counts[wholes])
    first = np.random.default_rng(0).permutation(len(photos))
    turn = np.arange(len(CORRUPTIONS))[:, None]  # a picture comes at every strength, or nearly so
    strength = np.array(STRENGTHS)[(first + turn) % len(STRENGTHS)]
    run = Network(network)
    clean = (_pooled(run(pictures), photo_of).argmax(axis=1) == targets).mean()
    rows = track(CORRUPTIONS, len(CORRUPTIONS), "answer worsened pictures", "corruptions")
    worse = (
        [corrupt(pictures[at], name, of_each[i], i) for at, i in enumerate(photo_of)]
        for name, of_each in zip(rows, strength, strict=True)
    )
    answers = np.stack([calibration.apply(_pooled(run(row), photo_of)) for row in worse])
    right, middle = answers.argmax(axis=2) == targets, strength == MIDDLE
    by_corruption = right.mean(axis=1)
    all_targets = np.broadcast_to(targets, strength.shape)
    error = calibration_error(answers[middle], all_targets[middle]) if middle.any() else None
    return {
        "photos": len(photos),
        "clean_accuracy": float(clean),
        "accuracy": float(by_corruption.mean()),
        "relative": float(by_corruption.mean() / clean) if clean else None,
        "calibration_error": error,
        "corruptions": [
            {"corruption": name, "accuracy": float(accuracy)}
            for name, accuracy in zip(CORRUPTIONS, by_corruption, strict=True)
        ],
        "strengths": [
            {"strength": s, "accuracy": float(right[strength == s].mean())}
            for s in STRENGTHS
            if (strength == s).any()
        ],
    }


def _pooled(answers: np.ndarray, photo_of: np.ndarray) -> np.ndarray:
    """Returns the answers to photos, as evaluate pools those to their views.

    Args:
        answers: To each picture, (pictures, species).
        photo_of: The number of the photo that each picture shows, from 0 on, int (pictures,).
    """
    of_photos = np.split(answers, np.flatnonzero(np.diff(photo_of)) + 1)
    return np.stack([view_mean([{MAIN: row} for row in rows])[MAIN] for rows in of_photos])
