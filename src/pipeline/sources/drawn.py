"""Draws the demo collection: stylised animals, so that the pipeline runs without a download.

Every choice comes from a `random.Random` seeded with the picture's name, coordinates are rounded
before anything is drawn, and light and noise are integer arithmetic: a recipe gives the same bytes
on every machine with the same release of Pillow.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from pipeline import parallel
from pipeline.progress import track

Colour = tuple[int, int, int]
Point = tuple[float, float]

SUPERSAMPLE = 2
ASPECTS = ((4, 3), (4, 3), (3, 2), (16, 9), (1, 1), (3, 4), (2, 3))
HARD_SHARE = 0.13
BLACK, WHITE = (25, 22, 22), (245, 243, 238)

# Sky from top to horizon, ground from horizon to bottom, colour of the plants.
SCENES: dict[str, tuple[Colour, Colour, Colour, Colour, Colour]] = {
    "meadow": ((105, 170, 235), (205, 230, 245), (140, 185, 90), (70, 130, 50), (50, 105, 45)),
    "savanna": ((240, 170, 95), (250, 225, 170), (215, 180, 105), (165, 120, 60), (125, 110, 50)),
    "snow": ((165, 190, 215), (225, 232, 240), (240, 244, 250), (195, 210, 230), (60, 90, 85)),
    "night": ((12, 16, 42), (45, 55, 95), (40, 58, 62), (18, 28, 34), (14, 30, 30)),
    "wood": ((60, 95, 60), (150, 175, 115), (110, 95, 60), (65, 55, 38), (40, 75, 38)),
    "shore": ((125, 195, 235), (60, 140, 185), (235, 215, 165), (205, 175, 120), (95, 130, 60)),
    "sea": ((95, 200, 220), (35, 120, 175), (30, 105, 160), (12, 50, 100), (40, 120, 85)),
    "pond": ((150, 175, 120), (85, 125, 95), (75, 110, 80), (40, 60, 45), (70, 110, 40)),
}
LAND = ("meadow", "savanna", "snow", "night", "wood", "shore")
WATER = ("sea", "pond")
# How many stars, flakes or bubbles, how big, and their colour.
SPECKS = {
    "night": (40, 1, WHITE),
    "snow": (40, 1, WHITE),
    "sea": (9, 4, (110, 215, 235)),
    "pond": (7, 4, (165, 195, 140)),
}


@dataclass(frozen=True)
class Drawn:
    """The recipe of a drawn collection.

    Args:
        species: Names out of `KNOWN_SPECIES`; each gets a folder.
        per_species: Different pictures of each species.
        size: Longer side of a picture in pixels.
        seed: Another seed gives other pictures.
        exact_duplicates: Pictures stored a second time, byte for byte.
        near_duplicates: Pictures stored a second time, a little smaller, re-lit and re-encoded.
        broken: Truncated JPEG files. These and the duplicates come on top of `per_species`.
    """

    species: tuple[str, ...]
    per_species: int
    size: int
    seed: int
    exact_duplicates: int
    near_duplicates: int
    broken: int


class Pen:
    """Draws on a layer in an animal's own frame: x points ahead, y down, a body is ~100 long.

    Args:
        layer: Image drawn on.
        origin: Where the frame's origin lies on the layer.
        scale: Pixels to a unit.
        turn: Rotation in degrees.
        flip: 1 to face right, -1 to face left.
    """

    def __init__(
        self,
        layer: Image.Image,
        origin: Point = (0, 0),
        scale: float = 1,
        turn: int = 0,
        flip: int = 1,
    ) -> None:
        self.layer, self.draw = layer, ImageDraw.Draw(layer)
        self.pose = (origin, scale, turn, flip)
        self.cos, self.sin = _direction(turn)

    def at(self, x: float, y: float) -> tuple[int, int]:
        (left, top), scale, _, flip = self.pose
        across, down = x * self.cos - y * self.sin, x * self.sin + y * self.cos
        return round(left + flip * scale * across), round(top + scale * down)

    def polygon(self, points: Sequence[Point], colour: Colour | int) -> None:
        self.draw.polygon([self.at(x, y) for x, y in points], fill=colour)

    def circle(self, x: float, y: float, radius: float, colour: Colour | int) -> None:
        (left, top), reach = self.at(x, y), max(1, round(radius * self.pose[1]))
        self.draw.ellipse((left - reach, top - reach, left + reach, top + reach), fill=colour)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour | int, turn: int = 0
    ) -> None:
        cos, sin = _direction(turn)
        ring = [(rx * a, ry * b) for a, b in map(_direction, range(0, 360, 12))]
        self.polygon([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in ring], colour)

    def limb(self, points: Sequence[Point], radii: Sequence[float], colour: Colour | int) -> None:
        """Draws a rounded, tapering stroke along a smooth curve through the points."""
        knots = [(*point, radius) for point, radius in zip(points, radii, strict=True)]
        knots = [knots[0], *knots, knots[-1]]
        path = [
            tuple(_spline(*values, step / 4) for values in zip(*knots[i : i + 4], strict=True))
            for i in range(len(knots) - 3)
            for step in range(4)
        ] + [knots[-1]]
        for (x0, y0, r0), (x1, y1, r1) in pairwise(path):
            span = math.hypot(x1 - x0, y1 - y0) or 1
            dx, dy = (y1 - y0) / span, (x0 - x1) / span
            side = [(x0 + r0 * dx, y0 + r0 * dy), (x1 + r1 * dx, y1 + r1 * dy)]
            self.polygon(
                [*side, (x1 - r1 * dx, y1 - r1 * dy), (x0 - r0 * dx, y0 - r0 * dy)], colour
            )
            self.circle(x0, y0, r0, colour)
        self.circle(*path[-1], colour)

    def marks(self, colour: Colour, paint: Callable[["Pen"], None]) -> None:
        """Paints a pattern only where the animal already is."""
        mask = Image.new("L", self.layer.size)
        paint(Pen(mask, *self.pose))
        self.layer.paste(colour, mask=ImageChops.multiply(mask, self.layer.getchannel("A")))


@cache
def _direction(degrees: int) -> Point:
    """Returns cosine and sine, cut to the digits on which all machines agree."""
    angle = math.radians(degrees)
    return round(math.cos(angle), 6), round(math.sin(angle), 6)


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    """Catmull-Rom: goes from b to c."""
    return b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))) / 2


def _shade(colour: Colour, percent: int) -> Colour:
    red, green, blue = (min(255, value * percent // 100) for value in colour)
    return red, green, blue


def _quadruped(
    pen: Pen, rng: Random, coat: Colour, depth: float, leg: float, thick: float, neck: Point
) -> Point:
    """Draws legs, body and neck, and returns where the head goes."""
    depth, leg = depth * rng.uniform(0.88, 1.12), leg * rng.uniform(0.85, 1.1)
    stride, foot = rng.uniform(-0.45, 0.45) * leg, depth * 0.6 + leg
    for hip, swing, tone in ((-46, -1, 75), (38, 1, 75), (-38, 1, 97), (46, -1, 97)):
        x, swing = hip + rng.uniform(-3, 3), swing * stride + rng.uniform(-4, 4)
        knee = (x + swing * 0.35 + (3 if hip > 0 else -4), depth * 0.4 + leg * 0.5)
        lift = foot - rng.uniform(0, 0.08) * leg
        pen.limb(
            [(x, depth * 0.2), knee, (x + swing, lift)],
            [thick * 1.7, thick, thick * 0.8],
            _shade(coat, tone),
        )
        pen.ellipse(x + swing + 2, lift, thick * 1.1, thick * 0.8, _shade(coat, tone * 6 // 10))
    pen.limb([(-46, 0), (0, depth * 0.12), (44, 0)], [depth * 0.92, depth * 0.9, depth], coat)
    head = (50 + neck[0] * rng.uniform(0.8, 1.2), -neck[1] * rng.uniform(0.7, 1.1))
    middle = (44 + (head[0] - 44) * 0.45, head[1] * 0.5 - 2)
    pen.limb([(42, 0), middle, head], [depth * 0.85, depth * 0.5, depth * 0.36], coat)
    return head


def _tail(pen: Pen, rng: Random, colour: Colour, length: float, radii: Sequence[float]) -> None:
    lift = rng.uniform(-0.7, 0.9)
    points = [(-62, -6), (-62 - length * 0.6, length * (0.3 - lift * 0.4))]
    pen.limb([*points, (-62 - length * 0.75, length * (0.9 - lift))], radii, colour)


def _spots(pen: Pen, rng: Random, colour: Colour, step: int, radius: float, sides: int) -> None:
    """Covers the animal with a loose grid of blots."""

    def paint(brush: Pen) -> None:
        for x in range(-120, 130, step):
            for y in range(-130, 90, step):
                left, top = x + rng.uniform(-0.3, 0.3) * step, y + rng.uniform(-0.3, 0.3) * step
                blot = []
                for cos, sin in map(_direction, range(0, 360, 360 // sides)):
                    reach = radius * rng.uniform(0.75, 1.15)
                    blot.append((left + reach * cos, top + reach * sin))
                brush.polygon(blot, 255)

    pen.marks(colour, paint)


def _stripes(pen: Pen, rng: Random, colour: Colour, step: float, width: float) -> None:
    """Covers the animal with bars: upright on the trunk and neck, level on the legs."""

    def paint(brush: Pen) -> None:
        for bar in range(round(130 / step)):
            x, lean = -68 + bar * step + rng.uniform(-1, 1), rng.uniform(-4, 4) + bar * step / 9
            brush.limb([(x + lean, -90), (x + 3, -20), (x, 24)], [width, width, 0.5], 255)
        for bar in range(round(80 / step)):
            y = 34 + bar * step + rng.uniform(-1, 1)
            brush.limb([(-90, y), (90, y + rng.uniform(-4, 4))], [width * 0.7] * 2, 255)

    pen.marks(colour, paint)


def _equine(pen: Pen, rng: Random, coat: Colour, mane: Colour, striped: bool) -> None:
    _tail(pen, rng, mane, 46, [4, 6, 2])
    x, y = _quadruped(pen, rng, coat, 27, 56, 5.5, (28, 52))
    drop = rng.uniform(10, 24)
    pen.limb([(x - 3, y), (x + 14, y + drop * 0.5), (x + 30, y + drop)], [12, 10, 8], coat)
    if striped:
        _stripes(pen, rng, mane, rng.uniform(8, 11), rng.uniform(1.7, 2.7))
    pen.circle(x + 32, y + drop, 7, _shade(coat, 45))
    pen.limb([(x - 4, y - 12), (x - 20, y * 0.55), (20, -24)], [4, 6, 4], mane)
    pen.polygon([(x - 8, y - 8), (x - 3, y - 24), (x + 3, y - 9)], _shade(coat, 85))
    pen.circle(x + 8, y, 2.4, BLACK)


def _horse(pen: Pen, rng: Random) -> None:
    coats = ((140, 85, 50), (95, 60, 40), (190, 140, 90), (70, 62, 60), (225, 220, 212))
    coat = rng.choice(coats)
    _equine(pen, rng, coat, rng.choice((BLACK, _shade(coat, 60))), striped=False)


def _zebra(pen: Pen, rng: Random) -> None:
    _equine(pen, rng, rng.choice((WHITE, (235, 222, 200))), BLACK, striped=True)


def _giraffe(pen: Pen, rng: Random) -> None:
    coat = rng.choice(((235, 195, 125), (225, 180, 105), (240, 212, 155)))
    patch = rng.choice(((150, 90, 40), (120, 70, 35), (175, 105, 50)))
    _tail(pen, rng, patch, 36, [2, 2, 4])
    x, y = _quadruped(pen, rng, coat, 25, 66, 5, (38, 118))
    _spots(pen, rng, patch, 17, rng.uniform(7.5, 9), 6)
    pen.limb([(x - 3, y), (x + 12, y + 4), (x + 26, y + 12)], [10, 9, 6], coat)
    for ahead in (-5, 3):
        pen.limb([(x + ahead, y - 6), (x + ahead - 3, y - 20)], [2, 2.6], patch)
    pen.ellipse(x - 13, y - 6, 9, 4, _shade(coat, 85), 25)
    pen.circle(x + 7, y - 1, 2.4, BLACK)
    pen.circle(x + 28, y + 13, 4.5, _shade(coat, 70))


def _elephant(pen: Pen, rng: Random) -> None:
    grey = rng.choice(((140, 142, 150), (120, 118, 122), (160, 150, 145), (130, 115, 105)))
    _tail(pen, rng, _shade(grey, 80), 30, [2.5, 2, 3])
    x, y = _quadruped(pen, rng, grey, 40, 40, 11, (20, 24))
    pen.circle(x + 2, y, 27, grey)
    reach, curl = rng.uniform(10, 34), rng.uniform(-50, 14)
    trunk = [(x + 20, y + 6), (x + 32, y + 38), (x + 26 + reach, y + 58 + curl / 2)]
    pen.limb([*trunk, (x + 36 + reach, y + 48 + curl)], [14, 9, 6.5, 5], _shade(grey, 94))
    if rng.random() < 0.7:
        pen.limb([(x + 19, y + 18), (x + 34, y + 28), (x + 46, y + 22)], [4, 3, 1], WHITE)
    ear = rng.uniform(17, 25)
    pen.ellipse(x - 13, y + 2, ear, 31, _shade(grey, 74), rng.randint(-15, 20))
    pen.ellipse(x - 13, y + 2, ear * 0.75, 24, _shade(grey, 86), 8)
    pen.circle(x + 15, y - 7, 2.8, BLACK)


def _feline(
    pen: Pen, rng: Random, coat: Colour, x: float, y: float, size: float, sharp: bool
) -> None:
    """Draws the head of a cat, small or big."""
    iris = rng.choice(((190, 200, 70), (215, 160, 50), (110, 180, 120)))
    for side in (-1, 1):
        if sharp:
            tip = (x + side * size * 0.8, y - size * 1.5)
            base = [
                (x + side * size * 0.95, y - size * 0.2),
                (x + side * size * 0.1, y - size * 0.8),
            ]
            pen.polygon([tip, *base], _shade(coat, 88))
        else:
            pen.circle(x + side * size * 0.72, y - size * 0.75, size * 0.34, _shade(coat, 72))
    pen.ellipse(x, y, size * 1.08, size * 0.95, _shade(coat, 105))
    for side in (-1, 1):
        pen.ellipse(x + side * size * 0.3, y + size * 0.42, size * 0.34, size * 0.27, WHITE)
        pen.circle(x + side * size * 0.42, y - size * 0.12, size * 0.21, iris)
        pen.circle(x + side * size * 0.42, y - size * 0.12, size * 0.1, BLACK)
    pen.circle(x, y + size * 0.26, size * 0.13, (190, 100, 100))


def _cat(pen: Pen, rng: Random) -> None:
    coats = ((200, 130, 65), (125, 120, 118), (60, 56, 58), (225, 215, 200), (205, 165, 105))
    coat = rng.choice(coats)
    _tail(pen, rng, _shade(coat, 90), 62, [6, 5.5, 5])
    x, y = _quadruped(pen, rng, coat, 24, 36, 6, (12, 28))
    pattern = rng.random()
    if pattern < 0.45:
        _stripes(pen, rng, _shade(coat, 68), 12, 2.2)
    elif pattern < 0.6:
        _spots(pen, rng, _shade(coat, 50), 13, 4, 8)
    _feline(pen, rng, coat, x, y, rng.uniform(20, 26), True)


def _leopard(pen: Pen, rng: Random) -> None:
    coat = rng.choice(((225, 170, 85), (205, 150, 80), (235, 195, 125), (190, 180, 165)))
    _tail(pen, rng, coat, 70, [6, 5, 5.5])
    x, y = _quadruped(pen, rng, coat, 24, 38, 7, (20, 22))
    _spots(pen, rng, _shade(BLACK, 150), rng.randint(11, 14), rng.uniform(4.2, 5), 8)
    _feline(pen, rng, coat, x, y, rng.uniform(17, 22), rng.random() < 0.1)


def _owl(pen: Pen, rng: Random) -> None:
    coat = rng.choice(((135, 98, 62), (110, 90, 75), (170, 130, 85), (215, 210, 205)))
    pale, spread = _shade(coat, 140), rng.choice((0, 0, rng.uniform(20, 75)))
    bark = (85, 62, 45)
    pen.limb([(-150, 62), (0, 66), (150, 54 + rng.uniform(-6, 12))], [7, 6, 4], bark)
    for side in (-1, 1):
        tips = [
            (side * (38 + spread), 10 - spread * 0.3),
            (side * (30 + spread), 52 - spread * 0.7),
        ]
        pen.limb([(side * 26, -18), *tips], [14, 15, 5], _shade(coat, 78))
    pen.limb([(0, 60), (0, 92)], [14, 9], _shade(coat, 65))
    pen.ellipse(0, 16, 37, 52, coat)
    pen.ellipse(0, 24, 26, 40, pale)
    _spots(pen, rng, _shade(coat, 70), 12, 3, 3)
    tilt = rng.uniform(-7, 7)
    ears = rng.choice((0, 18, 26))
    for side in (-1, 1):
        tuft = [(side * 34 + tilt, -52 - ears), (side * 12 + tilt, -62), (side * 36 + tilt, -34)]
        pen.polygon(tuft, _shade(coat, 85))
    pen.ellipse(tilt, -38, 37, 31, coat)
    iris = rng.choice(((245, 190, 40), (235, 130, 30), (60, 45, 35)))
    for side in (-1, 1):
        x = tilt + side * 15
        for radius, colour in ((16, pale), (10, iris), (6, BLACK)):
            pen.circle(x, -38, radius, colour)
        pen.circle(x + 3, -41, 2, WHITE)
        for toe in (6, 13, 20):
            pen.limb([(side * toe, 58), (side * toe, 68)], [3, 2], (205, 160, 70))
    pen.polygon([(tilt - 5, -32), (tilt + 5, -32), (tilt, -18)], (220, 160, 60))


def _fish(pen: Pen, rng: Random) -> None:
    coats = ((240, 130, 40), (235, 205, 70), (95, 140, 190), (200, 80, 90), (130, 140, 130))
    coat, depth = rng.choice(coats), rng.uniform(24, 44)
    fin, sway = _shade(coat, 78), rng.uniform(-12, 12)
    tail = [(-58, 0), (-98, sway - 32), (-84, sway), (-98, sway + 32)]
    pen.polygon(tail, fin)
    pen.limb([(-38, -depth * 0.6), (-5, -depth * 1.15), (30, -depth * 0.6)], [7, 12, 5], fin)
    pen.limb([(-30, depth * 0.6), (-12, depth * 1.15)], [9, 5], fin)
    pen.limb([(-66, 0), (-12, 0), (42, 0), (66, 3)], [6, depth, depth * 0.72, 8], coat)
    pattern = rng.random()
    if pattern < 0.4:
        _stripes(pen, rng, rng.choice((WHITE, BLACK)), 26, 5)
    elif pattern < 0.65:
        _spots(pen, rng, _shade(coat, 65), 13, 4, 6)
    pen.limb([(12, 8), (-6, 18 + sway), (-14, 14 + sway)], [6, 7, 3], fin)
    pen.circle(44, -7, 7, WHITE)
    pen.circle(46, -7, 3.8, BLACK)
    pen.limb([(70, 6), (62, 9), (56, 8)], [1, 1, 0.8], _shade(coat, 45))


ANIMALS: dict[str, Callable[[Pen, Random], None]] = {
    "cat": _cat,
    "elephant": _elephant,
    "fish": _fish,
    "giraffe": _giraffe,
    "horse": _horse,
    "leopard": _leopard,
    "owl": _owl,
    "zebra": _zebra,
}
KNOWN_SPECIES = tuple(ANIMALS)


def _clouds(rng: Random, size: tuple[int, int], columns: int, rows: int) -> np.ndarray:
    """Returns smooth random patches between -128 and 127."""
    grid = Image.frombytes("L", (columns, rows), rng.randbytes(columns * rows))
    return np.asarray(grid.resize(size, Image.Resampling.BILINEAR), dtype=np.int32) - 128


def _tuft(pen: Pen, rng: Random, x: int, y: int, height: int, colour: Colour, blades: int) -> None:
    for _ in range(blades):
        foot, lean = x + rng.uniform(-0.6, 0.6) * height, rng.uniform(-0.4, 0.4) * height
        tip = (foot + lean, y - height * rng.uniform(0.5, 1))
        tone = _shade(colour, rng.randint(75, 150))
        pen.polygon([(foot - height / 22, y), (foot + height / 22, y), tip], tone)


def _plant(pen: Pen, rng: Random, x: int, y: int, height: int, colour: Colour) -> None:
    """Draws a tree, a bush, a fir or a stone standing at (x, y)."""
    kind = rng.choice(("tree", "tree", "bush", "fir", "stone"))
    if kind == "stone":
        pen.ellipse(x, y, height / 4, height / 7, _shade((120, 118, 115), rng.randint(60, 120)))
    elif kind == "fir":
        for level in range(3):
            top, half = y - height * (10 - 2 * level) / 10, height * (2 + level) / 14
            base = top + height * 0.45
            pen.polygon([(x, top), (x - half, base), (x + half, base)], _shade(colour, 80))
    else:
        if kind == "tree":
            trunk = [(x, y), (x + height // 20, y - height * 0.7)]
            pen.limb(trunk, [height / 16, height / 26], (88, 66, 48))
        crown = y - height * 0.8 if kind == "tree" else y - height * 0.12
        for _ in range(9):
            left, top = rng.uniform(-0.3, 0.3) * height, rng.uniform(-0.1, 0.14) * height
            radius = height * rng.uniform(0.1, 0.18)
            pen.circle(x + left, crown + top, radius, _shade(colour, rng.randint(75, 125)))


def _background(rng: Random, scene: str, size: tuple[int, int]) -> Image.Image:
    width, height = size
    sky, haze, near, front = (np.array(colour, np.int32) for colour in SCENES[scene][:4])
    plant = SCENES[scene][4]
    horizon = rng.randint(height * 3 // 10, height * 6 // 10)
    rows = np.arange(height, dtype=np.int32)[:, None]
    above = sky + (haze - sky) * rows // horizon
    below = near + (front - near) * (rows - horizon) // (height - horizon)
    # Hills and water have no ruler-straight rim: every column gets its own horizon.
    rim = horizon + _clouds(rng, (width, 1), 7, 1)[0] * (0 if scene == "shore" else height) // 2000
    board = np.where((rows < rim)[:, :, None], above[:, None], below[:, None])
    board = board + (_clouds(rng, size, 7, 5) // 6 + _clouds(rng, size, 60, 40) // 9)[:, :, None]
    image = Image.fromarray(board.clip(0, 255).astype(np.uint8))
    pen = Pen(image)
    count, radius, colour = SPECKS.get(scene, (0, 0, WHITE))
    for _ in range(count):
        spot = (rng.randint(0, width), rng.randint(0, horizon if scene == "night" else height))
        pen.circle(*spot, radius * rng.uniform(0.3, 1.2), colour)
    for y in sorted(rng.randint(horizon, horizon + height // 8) for _ in range(rng.randint(1, 7))):
        if scene not in WATER:
            tall = rng.randint(height // 6, height * 2 // 3)
            _plant(pen, rng, rng.randint(0, width), y, tall, plant)
    for y in sorted(rng.randint(horizon, height) for _ in range(rng.randint(5, 25))):
        _tuft(pen, rng, rng.randint(0, width), y, rng.randint(8, 26), plant, 5)
    return image.filter(ImageFilter.BoxBlur(rng.randint(1, 2)))


def _foreground(layer: Image.Image, rng: Random, plant: Colour, hidden: bool) -> None:
    """Draws the grass and the branches that hide a part of the animal."""
    width, height = (side // SUPERSAMPLE for side in layer.size)
    pen = Pen(layer, scale=SUPERSAMPLE)
    tallest = height // 2 if hidden else height // 4
    for _ in range(rng.randint(12, 16) if hidden else rng.choice((0, 2, 5))):
        tall = rng.randint(tallest // 2, tallest)
        _tuft(pen, rng, rng.randint(0, width), height + 4, tall, plant, 9)
    for _ in range(rng.randint(2, 3) if hidden else rng.choice((0, 0, 0, 0, 1))):
        ends = [(-9, rng.randint(0, height)), (width + 9, rng.randint(0, height))]
        middle = (width // 2, (ends[0][1] + ends[1][1]) // 2 + rng.randint(-20, 20))
        pen.limb([ends[0], middle, ends[1]], [7, 5, 3], (75, 56, 42))
        for _ in range(26 if hidden else 12):
            x = rng.randint(0, width)
            y = ends[0][1] + (ends[1][1] - ends[0][1]) * x / width + rng.uniform(-18, 18)
            tone = _shade(plant, rng.randint(85, 150))
            pen.ellipse(x, y, rng.uniform(7, 14), 4, tone, rng.randint(0, 180))


def _develop(image: Image.Image, rng: Random, dark: bool) -> Image.Image:
    """Gives the finished drawing the light, the lens and the grain of a camera."""
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.BoxBlur(1))
    width, height = image.size
    gain = rng.randint(55, 90) if dark else rng.randint(190, 290)
    cast = np.array([gain * rng.randint(92, 108) // 100 for _ in range(3)], np.int32)
    across = np.arange(width, dtype=np.int32) * 2 - width
    down = np.arange(height, dtype=np.int32)[:, None] * 2 - height
    far = (across * across + down * down) * 256 // (width * width + height * height)
    vignette = 256 - far * rng.randint(0, 110) // 256
    grain = rng.randint(4, 22)
    noise = np.frombuffer(rng.randbytes(width * height), np.uint8).reshape(height, width)
    light = (np.asarray(image, np.int32) * cast * vignette[:, :, None]) >> 16
    light += ((noise.astype(np.int32) - 128) * grain // 128)[:, :, None]
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))


def _picture(species: str, index: int, recipe: Drawn) -> Image.Image:
    rng = Random(f"{recipe.seed}:{species}:{index}")
    wide, high = rng.choice(ASPECTS)
    size = (recipe.size * wide // max(wide, high), recipe.size * high // max(wide, high))
    hard = rng.choice(("tiny", "dark", "hidden", "cut")) if rng.random() < HARD_SHARE else ""
    scene = rng.choice(WATER if species == "fish" else LAND)
    image = _background(rng, scene, size)

    big = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
    layer, front = Image.new("RGBA", big), Image.new("RGBA", big)
    edge = 0.42 if hard == "cut" else rng.choice((0, 0.05, 0.16))
    left = 0.5 + rng.choice((-1, 1)) * edge + rng.uniform(-0.05, 0.05)
    origin = (big[0] * left, big[1] * rng.uniform(0.5, 0.64))
    reach = min(size) * (rng.uniform(0.12, 0.2) if hard == "tiny" else rng.uniform(0.6, 1.1))
    turn, flip = rng.randint(-9, 9), rng.choice((-1, 1))
    ANIMALS[species](Pen(layer, origin, SUPERSAMPLE * reach / 210, turn, flip), rng)
    _foreground(front, rng, SCENES[scene][4], hard == "hidden")
    layer, front = layer.reduce(SUPERSAMPLE), front.reduce(SUPERSAMPLE)

    # The underside lies in the animal's own shadow, and its feet on a dark patch of ground.
    outline, drop = layer.getchannel("A"), round(reach / 24)
    under = ImageChops.offset(outline, 0, -drop).filter(ImageFilter.BoxBlur(drop))
    under = ImageChops.subtract(outline, under).point([value * 2 // 5 for value in range(256)])
    box = layer.getbbox()
    if box and species not in ("fish", "owl"):
        patch = Image.new("L", size)
        floor = (box[0], box[3] - 2 * drop, box[2], box[3] + drop)
        ImageDraw.Draw(patch).ellipse(floor, fill=95)
        image.paste(BLACK, mask=patch.filter(ImageFilter.BoxBlur(drop)))
    image.paste(layer, mask=outline)
    image.paste((20, 20, 45), mask=under)
    image.paste(front, mask=front)
    return _develop(image, rng, hard == "dark")


def _write(top: Path, recipe: Drawn, task: tuple[str, int, str]) -> None:
    """Writes one picture, or a changed copy of it."""
    species, index, change = task
    folder = top / species
    image = _picture(species, index, recipe)
    rng = Random(f"{recipe.seed}:{species}:{index}:file")
    quality = rng.randint(78, 90)
    if change == "near":
        shrink, gain = rng.randint(88, 97), rng.randint(92, 112)
        image = image.resize((image.width * shrink // 100, image.height * shrink // 100))
        image = image.point([min(255, value * gain // 100) for value in range(256)] * 3)
        quality -= 8
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=2)
    content = buffer.getvalue()
    name = f"{species}-{index:04d}{change and '-' + change}.jpg"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content[: len(content) // 2] if change == "broken" else content)


def draw(recipe: Drawn, folder: Path, jobs: int = 1) -> None:
    """Draws a collection as `folder/<species>/<name>.jpg`.

    Args:
        recipe: What to draw.
        folder: Where to; it is made if it is missing.
        jobs: Pictures drawn at a time. The files do not depend on it.

    Raises:
        ValueError: If a species is not known, or if there are more duplicates than pictures.
    """
    unknown = [name for name in recipe.species if name not in ANIMALS]
    if unknown:
        raise ValueError(f"Cannot draw {', '.join(unknown)}; known: {', '.join(KNOWN_SPECIES)}.")
    pictures = [(name, index) for name in recipe.species for index in range(recipe.per_species)]
    copies = recipe.exact_duplicates + recipe.near_duplicates
    if copies > len(pictures):
        raise ValueError(f"Cannot copy {copies} pictures out of {len(pictures)}.")
    twice = Random(f"{recipe.seed}:copies").sample(pictures, copies)
    tasks = [(*picture, "") for picture in pictures]
    tasks += [(*picture, "exact") for picture in twice[: recipe.exact_duplicates]]
    tasks += [(*picture, "near") for picture in twice[recipe.exact_duplicates :]]
    for extra in range(recipe.broken):
        name = recipe.species[extra % len(recipe.species)]
        tasks.append((name, recipe.per_species + extra, "broken"))
    drawn = parallel.each(partial(_write, folder.absolute(), recipe), tasks, jobs)
    for _ in track(drawn, len(tasks), "draw", "pictures"):
        pass
