"""Worsens pictures as cameras, weather, transmission and archives do, each at five strengths.

Strengths of noise, blur, JPEG, brightness, contrast, fog and pixelation are those of Hendrycks &
Dietterich 2019, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, for
pictures of 224 px; lengths grow with the picture's side. The others are of this project.
"""

from collections.abc import Callable

import cv2
import numpy as np

STRENGTHS = (1, 2, 3, 4, 5)
_SIDE = 224  # px, for which lengths are given

Corruption = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def corrupt(picture: np.ndarray, name: str, strength: int, seed: int) -> np.ndarray:
    """Worsens a picture.

    Args:
        picture: uint8 (size, size, 3), RGB.
        name: One of `CORRUPTIONS`.
        strength: 1 to 5.
        seed: What chance decides by: the same seed, the same noise.

    Returns:
        uint8 (size, size, 3).
    """
    rng = np.random.default_rng(seed)
    worse = CORRUPTIONS[name](picture, strength - 1, rng)
    return worse if worse.dtype == np.uint8 else (255 * worse).clip(0, 255).round().astype(np.uint8)


def _share(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) / 255


def _noise(picture: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    deviation = (0.08, 0.12, 0.18, 0.26, 0.38)[level]
    return _share(picture) + rng.normal(0, deviation, picture.shape)


def _blur(picture: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    sigma = (1, 2, 3, 4, 6)[level] * len(picture) / _SIDE
    return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)


def _jpeg(picture: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    quality = [cv2.IMWRITE_JPEG_QUALITY, (25, 18, 15, 10, 7)[level]]
    _, code = cv2.imencode(".jpg", picture[..., ::-1], quality)
    return cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1]


def _brightness(picture: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    """Adds to the value of hue, saturation and value, which scales the three colours alike."""
    share = _share(picture)
    value = share.max(axis=2, keepdims=True)
    brighter = np.minimum(value + (0.1, 0.2, 0.3, 0.4, 0.5)[level], 1)
    return np.where(value > 0, share * brighter / np.maximum(value, 1e-6), brighter)


def _contrast(picture: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    share = _share(picture)
    mean = share.mean(axis=(0, 1))
    return (share - mean) * (0.4, 0.3, 0.2, 0.1, 0.05)[level] + mean


def _fog(picture: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Adds a random field of several scales, each finer one weaker by `decay` squared."""
    density, decay = ((1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[level]
    size, field = len(picture), np.zeros(picture.shape[:2], np.float32)
    for octave in range(int(np.log2(size))):
        grid = rng.uniform(-1, 1, (2**octave + 1,) * 2).astype(np.float32)
        field += cv2.resize(grid, (size, size), interpolation=cv2.INTER_LINEAR) / decay ** (
            2 * octave
        )
    field = (field - field.min()) / (field.max() - field.min())
    share = _share(picture)
    brightest = share.max()
    return (share + density * field[..., None]) * brightest / (brightest + density)


def _occlusion(picture: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Hides a square of 5, 10, 20, 30 or 40 % of the picture behind grey."""
    size = len(picture)
    side = round(size * (0.05, 0.1, 0.2, 0.3, 0.4)[level] ** 0.5)
    top, left = rng.integers(0, size - side + 1, 2)
    worse = picture.copy()
    worse[top : top + side, left : left + side] = 128
    return worse


def _pixelate(picture: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    """Scales down, at strength 5 to 56 of 224 px, and up again."""
    size = len(picture)
    small = (int(size * (0.6, 0.5, 0.4, 0.3, 0.25)[level]),) * 2
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)


def _rotation(picture: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    size = len(picture)
    degrees = (10, 20, 30, 45, 90)[level] * rng.choice([-1, 1])
    turn = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, float(degrees), 1)
    return cv2.warpAffine(picture, turn, (size, size), borderMode=cv2.BORDER_REFLECT_101)


def _grey(picture: np.ndarray, level: int, _: np.random.Generator) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    share = (0.2, 0.4, 0.6, 0.8, 1.0)[level]
    return (picture * (1 - share) + grey * share) / 255


def _infrared(picture: np.ndarray, level: int, rng: np.random.Generator) -> np.ndarray:
    """Looks as by an infrared flash at night: grey, dark towards the borders, flat, with noise."""
    strength = (0.2, 0.4, 0.6, 0.8, 1.0)[level]
    size = len(picture)
    red = _share(picture) @ np.float32([0.6, 0.3, 0.1])
    places = np.linspace(-1, 1, size, dtype=np.float32)
    light = 1 - 0.4 * strength * (places[:, None] ** 2 + places**2)
    flat = 0.5 + (red - 0.5) * (1 - 0.5 * strength)
    noise = rng.normal(0, 0.06 * strength, red.shape)
    return np.repeat((flat * light * (1 - 0.3 * strength) + noise)[..., None], 3, axis=2)


CORRUPTIONS: dict[str, Corruption] = {
    "noise": _noise,
    "blur": _blur,
    "jpeg": _jpeg,
    "brightness": _brightness,
    "contrast": _contrast,
    "fog": _fog,
    "occlusion": _occlusion,
    "pixelate": _pixelate,
    "rotation": _rotation,
    "grey": _grey,
    "infrared": _infrared,
}
