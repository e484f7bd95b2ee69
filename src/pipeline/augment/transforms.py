"""Alters pictures: draws a change from ranges, and applies it to pixels."""

import io
from dataclasses import dataclass, fields

import cv2
import numpy as np
from PIL import Image

from pipeline.core import params

# RGB to YCbCr (ITU-R BT.601): luminance, and the plane in which hue is an angle and saturation
# a length.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_RGB = np.linalg.inv(_YCBCR)


@dataclass(frozen=True)
class Ranges:
    """Ranges in which a copy may differ from its picture; each value is drawn evenly from its own.

    Attributes:
        strength: Factor on every range, and on the strength of changes that have a probability;
            the one number of RandAugment (Cubuk et al. 2020).
        rotation: Degrees, either way.
        zoom: 0.2 is from 1/1.2 to 1.2 times, evenly in the logarithm.
        shift: Share of the side, either way, across and down.
        shear: Degrees, either way.
        flip_horizontal: Probability.
        flip_vertical: Probability.
        brightness: As `zoom`, a factor on the light.
        contrast: As `zoom`, a factor on the distance from the mean.
        saturation: As `zoom`, a factor on the distance from grey.
        hue: Degrees on the colour circle, either way.
        grey: Probability that no colour is left.
        blur: Probability of a blur, its sigma up to a hundredth of the side.
        jpeg: Probability of a JPEG's artefacts, of quality 90 down to 10.
        cutout: Probability that a square of the mean colour hides a part, up to 0.4 of the side
            (DeVries and Taylor 2017).
        night: Probability of the appearance of an infrared camera trap: grey, of low contrast,
            noisy, lit by a flash that fades to the edges and glares somewhere.
        resolution: Probability of a lower resolution, of down to a fifth of the side.
        noise: Probability of a sensor's noise, its sigma up to 50 of 255.
    """

    strength: float
    rotation: float
    zoom: float
    shift: float
    shear: float
    flip_horizontal: float
    flip_vertical: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    grey: float
    blur: float
    jpeg: float
    cutout: float
    night: float
    resolution: float
    noise: float

    @classmethod
    def of(cls, section: params.Augment) -> "Ranges":
        """Reads them from the section `augment` of a params file."""
        return cls(**{field.name: getattr(section, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class Change:
    """The difference between a copy and its picture; by default none.

    Attributes:
        rotation: Degrees.
        zoom: Factor.
        shift: Shares of the side, across and down.
        shear: Tangent of its angle.
        flip_horizontal: Whether left becomes right.
        flip_vertical: Whether top becomes bottom.
        brightness: Factor.
        contrast: Factor.
        saturation: Factor.
        hue: Degrees.
        grey: Whether no colour is left.
        blur: Strength, from 0 (none) to 1 (as far as `Ranges` allows) and beyond.
        jpeg: Strength, from 0 up.
        cutout: Strength, from 0 up.
        night: Strength, from 0 up.
        resolution: Strength, from 0 up.
        noise: Strength, from 0 up.
        place: Where cutout and glare are, shares of the side, across and down.
        grains: Seed of the noise.
    """

    rotation: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    shear: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    grey: bool = False
    blur: float = 0.0
    jpeg: float = 0.0
    cutout: float = 0.0
    night: float = 0.0
    resolution: float = 0.0
    noise: float = 0.0
    place: tuple[float, float] = (0.5, 0.5)
    grains: int = 0


def draw(ranges: Ranges, rng: np.random.Generator) -> Change:
    """Draws a change. Each part has a draw of its own: to alter one range moves no other part."""
    signed = (rng.uniform(-1, 1, 9) * ranges.strength).tolist()
    happens, amount = rng.random(7).tolist(), (rng.random(4) * ranges.strength).tolist()
    place, grains = rng.random(2).tolist(), int(rng.integers(2**32))
    happens += rng.random(2).tolist()
    amount += (rng.random(2) * ranges.strength).tolist()
    return Change(
        rotation=signed[0] * ranges.rotation,
        shear=signed[1] * np.tan(np.deg2rad(ranges.shear)),
        zoom=(1 + ranges.zoom) ** signed[2],
        shift=(signed[3] * ranges.shift, signed[4] * ranges.shift),
        brightness=(1 + ranges.brightness) ** signed[5],
        contrast=(1 + ranges.contrast) ** signed[6],
        saturation=(1 + ranges.saturation) ** signed[7],
        hue=signed[8] * ranges.hue,
        flip_horizontal=happens[0] < ranges.flip_horizontal,
        flip_vertical=happens[1] < ranges.flip_vertical,
        grey=happens[2] < ranges.grey,
        blur=amount[0] * (happens[3] < ranges.blur),
        jpeg=amount[1] * (happens[4] < ranges.jpeg),
        cutout=amount[2] * (happens[5] < ranges.cutout),
        night=amount[3] * (happens[6] < ranges.night),
        resolution=amount[4] * (happens[7] < ranges.resolution),
        noise=amount[5] * (happens[8] < ranges.noise),
        place=(place[0], place[1]),
        grains=grains,
    )


def altered(picture: np.ndarray, change: Change) -> np.ndarray:
    """Returns an altered copy of a picture.

    One affine map moves all pixels, so that they are resampled once; outside its edges the picture
    is mirrored. One 3 x 4 matrix changes all colours. Both consist of binary fractions so short
    that 32-bit arithmetic is exact: every processor gives the same bytes, in whatever order or
    width it computes.

    Args:
        picture: uint8 (size, size, 3).
        change: What to alter.

    Returns:
        uint8 (size, size, 3).
    """
    size = len(picture)
    mean = cv2.mean(picture)[:3]
    copy = cv2.warpAffine(
        picture,
        _affine(change, size),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    copy = cv2.transform(copy, _colours(change, mean))
    if change.blur:
        sigma = change.blur * size / 100
        copy = cv2.GaussianBlur(copy, (0, 0), sigma, hint=cv2.ALGO_HINT_ACCURATE)
    if change.resolution:
        side = max(1, round(size / (1 + 4 * change.resolution)))
        small = Image.fromarray(copy).resize((side, side), Image.Resampling.BOX)
        copy = np.array(small.resize((size, size), Image.Resampling.BILINEAR))
    if change.night:
        copy = _night(copy, change)
    if change.noise:
        noise = _grains([change.grains, 1], copy.shape) * np.float32(change.noise * 50 / 148)
        copy = np.rint(copy + noise).clip(0, 255).astype(np.uint8)
    if change.jpeg:
        buffer = io.BytesIO()
        quality = max(1, round(90 - 80 * change.jpeg))
        Image.fromarray(copy).save(buffer, "JPEG", quality=quality)
        copy = np.array(Image.open(buffer))
    if change.cutout:
        reach = 0.2 * change.cutout
        left, top = (round(max(0, at - reach) * size) for at in change.place)
        right, bottom = (round((at + reach) * size) for at in change.place)
        copy[top:bottom, left:right] = np.rint(mean)
    return copy


def _affine(change: Change, size: int) -> np.ndarray:
    """Returns the affine map from a copy's pixels to the picture's, (2, 3), rounded to 1/128.

    So a bilinear weight has 14 bits and weighs 8: less than the 24 that a float32 holds.
    """
    turn = np.deg2rad(change.rotation)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shear = np.array([[1, change.shear], [0, 1]])
    flips = np.where((change.flip_horizontal, change.flip_vertical), -1, 1)
    linear = np.rint(rotation @ shear * flips / change.zoom * 128) / 128
    centre = np.full(2, (size - 1) / 2)
    offset = centre + np.multiply(change.shift, size) - linear @ centre
    return np.column_stack([linear, np.rint(offset * 128) / 128])


def _colours(change: Change, mean: tuple[float, float, float]) -> np.ndarray:
    """Returns the map of colours, (3, 4), rounded to 1/512.

    The last column is an odd number of 1/1024, so that no sum lies half-way between two integers,
    where one processor might round up and another down.
    """
    turn = np.deg2rad(change.hue)
    length = 0 if change.grey or change.night else change.saturation
    chroma = np.eye(3)
    chroma[1:, 1:] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    chroma[1:] *= length
    colour = change.contrast * change.brightness * _RGB @ chroma @ _YCBCR
    light = change.brightness * (1 - change.contrast) * (_YCBCR[0] @ mean)
    matrix = np.rint(np.clip(colour, -8, 8) * 512) / 512  # 8: else the sum has over 24 bits
    return np.column_stack([matrix, np.full(3, (np.rint(light * 512) * 2 + 1) / 1024)])


def _night(picture: np.ndarray, change: Change) -> np.ndarray:
    """Makes a grey picture look as if an infrared camera had taken it at night.

    Elementwise sums, products and quotients only: these are the same on every processor, unlike
    exponentials.
    """
    size, dark = len(picture), np.float32(change.night)
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)

    def away(x: float, y: float, scale: float) -> np.ndarray:
        """Returns the squared distance from a place, in squares of `scale` sides."""
        across, down = ((at - np.float32(p)) / np.float32(scale) for p in (x, y))
        return across * across + (down * down)[:, None]

    noise = _grains(change.grains, (size, size))
    flash = 1 / (1 + 3 * dark * away(0.5, 0.5, 0.7))
    glare = 180 * dark / (1 + away(*change.place, 0.1)) ** 2
    flat = 90 + (picture[..., 0] - np.float32(90)) / (1 + dark)
    seen = flat * flash + glare + noise * (dark * np.float32(0.08))
    return cv2.merge([np.rint(seen).clip(0, 255).astype(np.uint8)] * 3)


def _grains(seed: int | list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Draws numbers that are near enough to normal, mean 0, sigma 148, as int16."""
    drawn = np.random.default_rng(seed).integers(2**32, size=shape, dtype=np.uint32)
    return drawn.view(np.uint8).reshape(4, *shape).sum(axis=0, dtype=np.int16) - np.int16(510)
