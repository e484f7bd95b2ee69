"""Checks that heat maps show what a recogniser looks at."""

import numpy as np
import pandas as pd

from pipeline.dataset.sampling import sample
from pipeline.dataset.shards import Shards
from pipeline.inference import heat_maps
from pipeline.inference.litert import MAIN, MAPS, Network

PHOTOS = 40
WINDOW = 0.3  # side of what is hidden, as a share of the picture's
_GREY = 128


def measure(network: bytes, shards: Shards, test: pd.DataFrame) -> dict[str, float] | None:
    """Hides the hottest part of pictures, and a part by chance, and compares what becomes of them.

    The deletion check of Petsiuk et al. 2018, RISE, with one window.

    Args:
        network: The network that is served, as the contents of a `.tflite` file.
        shards: The pictures.
        test: The test pictures, with their species; its index is their positions in the shards.

    Returns:
        photos, how many were looked at; and by how much the logarithm of the answered species'
        probability falls on average where the hottest window is hidden, and where a random one is.
        None for a network without activation maps.
    """
    run, rng = Network(network), np.random.default_rng(0)
    pictures = shards.take(sample(test, PHOTOS).index)
    if MAPS not in run.outputs(pictures[0]):
        return None
    side, falls, hidden = round(WINDOW * pictures.shape[1]), [], []
    outputs = run.map_ordered(run.outputs, pictures)
    answered = [int(each[MAIN].argmax()) for each in outputs]
    for picture, each, species in zip(pictures, outputs, answered, strict=True):
        heat = heat_maps.activation(each[MAPS], species, len(picture))
        places = _hottest(heat, side), tuple(rng.integers(0, len(picture) - side + 1, 2))
        hidden += [_hide(picture, place, side) for place in places]
    answers = run(hidden).reshape(len(pictures), 2, -1)
    for each, two, species in zip(outputs, answers, answered, strict=True):
        before, after = each[MAIN][species], two[:, species]
        falls.append(np.log(max(before, 1e-12)) - np.log(np.maximum(after, 1e-12)))
    hottest, random = np.mean(falls, axis=0)
    return {"photos": len(falls), "hottest": float(hottest), "random": float(random)}


def _hottest(heat: np.ndarray, side: int) -> tuple[int, int]:
    """Returns the upper left corner of the square window with the most heat."""
    sums = np.pad(heat.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return int(top), int(left)


def _hide(picture: np.ndarray, place: tuple[int, int], side: int) -> np.ndarray:
    top, left = place
    hidden = picture.copy()
    hidden[top : top + side, left : left + side] = _GREY
    return hidden
