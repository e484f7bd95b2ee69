"""Measures how a recogniser answers worsened pictures."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.core.progress import track
from pipeline.dataset.sampling import sample
from pipeline.dataset.shards import Shards
from pipeline.evaluate.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from pipeline.evaluate.metrics import positions
from pipeline.inference.calibration import Calibration
from pipeline.inference.litert import Network
from pipeline.train.metrics import calibration_error

PHOTOS = 80  # each is worsened once by each corruption, a fifth of them at each strength
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
    strength = np.random.default_rng(0).permutation(np.resize(STRENGTHS, len(photos)))
    run = Network(network)
    clean = (run(pictures).argmax(axis=1) == targets).mean()
    answers = {
        name: calibration.apply(
            run([corrupt(picture, name, s, i) for i, (picture, s) in enumerate(rows)])
        )
        for name, rows in track(
            [(name, list(zip(pictures, strength, strict=True))) for name in CORRUPTIONS],
            len(CORRUPTIONS),
            "answer worsened pictures",
            "corruptions",
        )
    }
    right = pd.DataFrame({name: rows.argmax(axis=1) == targets for name, rows in answers.items()})
    middle = strength == MIDDLE
    worsened = np.concatenate([rows[middle] for rows in answers.values()])
    of = right.mean()
    return {
        "photos": len(photos),
        "clean_accuracy": float(clean),
        "accuracy": float(of.mean()),
        "relative": float(of.mean() / clean) if clean else None,
        "calibration_error": calibration_error(worsened, np.tile(targets[middle], len(CORRUPTIONS)))
        if middle.any()
        else None,
        "corruptions": [{"corruption": name, "accuracy": float(of[name])} for name in CORRUPTIONS],
        "strengths": [
            {"strength": int(s), "accuracy": float(right[strength == s].to_numpy().mean())}
            for s in np.unique(strength)
        ],
    }
