"""Shows where in a photo a network sees a species."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

GRID = 7  # positions of the hidden window along a side: 49 pictures to predict
WINDOW = 0.25  # side of the window, as a share of the picture's
GREY = 128


def activation(maps: np.ndarray, position: int, size: int) -> np.ndarray:
    """Measures how much each part of a picture speaks for a species, from the network's own maps.

    Class activation maps (Zhou et al. 2016, Learning Deep Features for Discriminative
    Localization), less their mean over the species: what adds to all logits alike changes no
    probability.

    Args:
        maps: What each place adds to the logits, (height, width, species).
        position: The species, as a position in the answers.
        size: Side of the picture (px).

    Returns:
        float (size, size), 0 to 1; 0 where a place speaks against the species, or for all alike.
    """
    evidence = maps[..., position] - maps.mean(axis=-1)
    evidence = Image.fromarray(np.maximum(evidence, 0).astype(np.float32))
    large = np.asarray(evidence.resize((size, size), Image.Resampling.BILINEAR), dtype=np.float64)
    return large / (large.max() or 1)


def occlusion(
    picture: np.ndarray, position: int, network: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Measures the same for a network without such maps.

    A grey window hides one part after the other (occlusion: Zeiler & Fergus 2014, Visualizing and
    Understanding Convolutional Networks).

    Args:
        picture: uint8 (size, size, 3).
        position: The species, as a position in the answers.
        network: Gives probabilities, (species,), for a picture, uint8 (size, size, 3).

    Returns:
        float (size, size), 0 to 1: the mean fall of the species' logarithmic probability over the
        windows that hide a pixel, as a share of the largest; 0 where hiding speaks for it.
    """
    size = len(picture)
    side = round(size * WINDOW)
    starts = np.linspace(0, size - side, GRID).round().astype(int)
    windows = [np.s_[top : top + side, left : left + side] for top in starts for left in starts]
    probabilities = [network(picture)[position]]
    for window in windows:
        hidden = picture.copy()
        hidden[window] = GREY
        probabilities.append(network(hidden)[position])
    logarithms = np.log(np.maximum(probabilities, 1e-12))
    falls, times = np.zeros((size, size)), np.zeros((size, size))
    for window, fall in zip(windows, logarithms[0] - logarithms[1:], strict=True):
        falls[window] += fall
        times[window] += 1
    mean = np.maximum(falls / np.maximum(times, 1), 0)
    return mean / (mean.max() or 1)


def overlay(heat: np.ndarray) -> bytes:
    """Returns a heat map as a PNG to lay over the picture: red, less transparent where hotter."""
    coloured = np.zeros((*heat.shape, 4), dtype=np.uint8)
    coloured[..., 0] = 255
    coloured[..., 3] = (heat * 200).round()
    file = io.BytesIO()
    Image.fromarray(coloured).save(file, "PNG")
    return file.getvalue()
