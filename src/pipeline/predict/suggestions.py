"""Suggests which photos a person should label next.

CLUE (Prabhu et al. 2021, Active Domain Adaptation via Clustering Uncertainty-weighted Embeddings):
k-means over the network's features, in which a photo weighs as much as the network is unsure of it,
finds as many kinds of hard photos as are wanted, and of each the most typical photo is suggested.
bench/suggest.py compares it with BADGE, margin sampling, coresets and chance.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import entropy

from pipeline.core import parallel
from pipeline.core.progress import track
from pipeline.inference import decoding
from pipeline.inference.litert import MAIN
from pipeline.inference.open_set import NO_ANIMAL
from pipeline.inference.recogniser import Recogniser
from pipeline.predict import inputs

_POOL = 20  # times as many unsure photos as are wanted are kept in memory
_LEAST_POOL = 2000
_AT_ONCE = 64
_LEAST_WEIGHT = 1e-9  # so that photos of which it is wholly sure have one


def clue(probabilities: np.ndarray, features: np.ndarray, count: int) -> np.ndarray:
    """Chooses photos of which the network is unsure and which differ from each other.

    Args:
        probabilities: (n, species).
        features: Of the last layer's input, (n, channels).
        count: How many photos.

    Returns:
        Positions of the photos, int (min(count, n),), the least sure first; always the same for
        the same arguments.
    """
    from sklearn.cluster import KMeans  # takes longer to import than `animal --help` may

    uncertainty = entropy(probabilities, axis=1)
    weight = uncertainty + _LEAST_WEIGHT
    scaled = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    count = min(count, len(np.unique(scaled, axis=0)))  # of copies, one is enough
    kmeans = KMeans(count, n_init=1, random_state=0).fit(scaled, sample_weight=weight)
    distances = kmeans.transform(scaled)
    chosen = np.empty(count, int)
    for cluster in range(count):  # a photo may be the nearest to two centres
        chosen[cluster] = distances[:, cluster].argmin()
        distances[chosen[cluster]] = np.inf
    return chosen[np.argsort(-uncertainty[chosen], kind="stable")]


def suggest(
    recogniser: Path, paths: Sequence[str], count: int
) -> tuple[pd.DataFrame, list[np.ndarray], Counter[str]]:
    """Suggests photos to label, among all that paths name.

    Only the surest photos are forgotten while it reads, so that memory does not grow with their
    number. Photos that show no animal and those that cannot be read are left out.

    Args:
        recogniser: Folder with `model.tflite` and `labels.json`.
        paths: Files, folders, archives (zip, tar) and patterns.
        count: How many photos to suggest.

    Returns:
        rank, path, species (the most probable one), probability, second (the next one), and margin
        (of the two probabilities); the pictures, uint8 (size, size, 3), in the same order; and how
        many files were left out, by reason.
    """
    network, left_out = Recogniser(recogniser), Counter[str]()
    pool: list[dict[str, Any]] = []
    keep = max(_POOL * count, _LEAST_POOL)
    photos = list(inputs.find(paths, left_out))
    batches = track(parallel.chunks(photos, _AT_ONCE), len(photos), "read", "photos", len)
    for batch in batches:
        seen = network.network.map_ordered(lambda photo: _seen(network, photo), batch)
        left_out.update(row["reason"] for row in seen if "reason" in row)
        pool += [row for row in seen if "reason" not in row]
        pool = sorted(pool, key=lambda row: (row["margin"], row["photo"].path))[:keep]
    if not pool:
        return pd.DataFrame(), [], left_out
    probabilities, features = (
        np.stack([row[name] for row in pool]) for name in ("probabilities", "features")
    )
    rows = [pool[i] for i in clue(probabilities, features, count)]
    pictures = [network.picture(row["photo"].read()) for row in rows]
    return _table(rows, network.labels), pictures, left_out


def _seen(recogniser: Recogniser, photo: inputs.Named) -> dict[str, Any]:
    """Returns what the network says of a photo, or a reason to leave it out."""
    try:
        outputs = recogniser.network.outputs(recogniser.picture(photo.read()))
    except decoding.PhotoError as error:
        return {"reason": error.reason}
    probabilities = recogniser.calibration.apply(outputs[MAIN])
    second, first = np.sort(probabilities)[-2:]
    if recogniser.open_set.answer_kind(outputs, float(first))["kind"] == NO_ANIMAL:
        return {"reason": "no animal"}
    return {
        "photo": photo,
        "margin": float(first - second),
        "probabilities": probabilities,
        "features": outputs.get("features", probabilities),  # of a network without, its answer
    }


def _table(rows: Sequence[dict[str, Any]], labels: Sequence[str]) -> pd.DataFrame:
    probabilities, names = np.stack([row["probabilities"] for row in rows]), np.array(labels)
    second, first = np.argsort(probabilities, axis=1, kind="stable")[:, -2:].T
    return pd.DataFrame(
        {
            "rank": range(1, len(rows) + 1),
            "path": [row["photo"].path for row in rows],
            "species": names[first],
            "probability": probabilities.max(axis=1),
            "second": names[second],
            "margin": [row["margin"] for row in rows],
        }
    )
