"""Measures how a recogniser answers worsened pictures."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.progress import track
from pipeline.dataset.sampling import sample
from pipeline.dataset.shards import Shards
from pipeline.evaluate.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from pipeline.inference.calibration import Calibration
from pipeline.inference.litert import Network
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
    """Measures accuracy under corruptions on a sample of the test pictures.

    Args:
        network: The network that is served, as the contents of a `.tflite` file.
        shards: The pictures.
        test: The test pictures, with their species; its index is their positions in the shards.
        labels: The species, in the order of the network's answers.
        calibration: Of its answers.

    Returns:
        photos, the size of the sample; clean_accuracy on it as it is; accuracy over all its
        worsened copies, and relative, its share of the clean one; calibration_error at strength 3;
        and corruptions and strengths, lists with the accuracy under each.
    """
    photos = sample(test, PHOTOS)
    pictures, targets = shards.take(photos.index), positions(photos["species"], labels)
    first = np.random.default_rng(0).permutation(len(photos))
    turn = np.arange(len(CORRUPTIONS))[:, None]  # a picture comes at every strength, or nearly so
    strength = np.array(STRENGTHS)[(first + turn) % len(STRENGTHS)]
    run = Network(network)
    clean = (run(pictures).argmax(axis=1) == targets).mean()
    rows = track(CORRUPTIONS, len(CORRUPTIONS), "answer worsened pictures", "corruptions")
    worse = (
        [corrupt(pictures[i], name, of_each[i], i) for i in range(len(photos))]
        for name, of_each in zip(rows, strength, strict=True)
    )
    answers = np.stack([calibration.apply(run(row)) for row in worse])
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
