"""What the frozen part of a network says of each picture, computed once."""

import hashlib
from pathlib import Path

import numpy as np

from pipeline import outputs
from pipeline.litert import Network
from pipeline.progress import track
from pipeline.shards import LENGTH, Shards


def extract(
    model: bytes, shards: Shards, positions: np.ndarray, cache: Path, what: str = "pictures"
) -> tuple[np.ndarray, int]:
    """Runs pictures through a frozen network, or reads what it said the last time.

    The cache goes by content: its keys are made of the network's bytes and the pictures' pixels,
    so it is right for whatever params led to them, and a killed run goes on where it was.

    Args:
        model: The frozen network, as LiteRT.
        shards: The pictures.
        positions: Which of them, as positions in the index.
        cache: Folder for what was computed; safe to delete at any time.
        what: How to call the pictures in the progress line.

    Returns:
        What the network says of each picture, float32 (n, ...), and of how many it had been known.
    """
    network = None
    cache.mkdir(parents=True, exist_ok=True)
    parts = [positions[i : i + LENGTH] for i in range(0, len(positions), LENGTH)]
    known = hashlib.sha256(model)
    found, had = [], 0
    for part in track(parts, len(positions), f"features of {what}", "pictures", count=len):
        pictures = shards.take(part)
        key = known.copy()
        key.update(repr(pictures.shape).encode())
        key.update(pictures)
        path = cache / f"{key.hexdigest()}.npy"
        if path.exists():
            had += len(part)
        else:
            network = network or Network(model)
            with outputs.whole(path) as partial, partial.open("wb") as file:
                np.save(file, network(pictures))
        found.append(np.load(path))
    return np.concatenate(found), had
