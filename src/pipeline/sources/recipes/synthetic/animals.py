"""Draws stylised animals, a function a species."""

from collections.abc import Callable, Sequence
from random import Random

from pipeline.sources.recipes.synthetic.pen import (
    BLACK,
    WHITE,
    Colour,
    Pen,
    Point,
    direction,
    shade,
)


def _quadruped(
    pen: Pen, rng: Random, coat: Colour, depth: float, legs: Point, neck: Point
) -> Point:
    """Draws legs of a length and a thickness, body and neck, and returns where the head goes."""
    leg, thick = legs
    depth, leg = depth * rng.uniform(0.88, 1.12), leg * rng.uniform(0.85, 1.1)
    stride, foot = rng.uniform(-0.45, 0.45) * leg, depth * 0.6 + leg
    for hip, swing, tone in ((-46, -1, 75), (38, 1, 75), (-38, 1, 97), (46, -1, 97)):
        x, swing = hip + rng.uniform(-3, 3), swing * stride + rng.uniform(-4, 4)
        knee = (x + swing * 0.35 + (3 if hip > 0 else -4), depth * 0.4 + leg * 0.5)
        lift = foot - rng.uniform(0, 0.08) * leg
        pen.limb(
            [(x, depth * 0.2), knee, (x + swing, lift)],
            [thick * 1.7, thick, thick * 0.8],
            shade(coat, tone),
        )
        pen.ellipse(x + swing + 2, lift, thick * 1.1, thick * 0.8, shade(coat, tone * 6 // 10))
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
                for cos, sin in map(direction, range(0, 360, 360 // sides)):
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
    x, y = _quadruped(pen, rng, coat, 27, (56, 5.5), (28, 52))
    drop = rng.uniform(10, 24)
    pen.limb([(x - 3, y), (x + 14, y + drop * 0.5), (x + 30, y + drop)], [12, 10, 8], coat)
    if striped:
        _stripes(pen, rng, mane, rng.uniform(8, 11), rng.uniform(1.7, 2.7))
    pen.circle(x + 32, y + drop, 7, shade(coat, 45))
    pen.limb([(x - 4, y - 12), (x - 20, y * 0.55), (20, -24)], [4, 6, 4], mane)
    pen.polygon([(x - 8, y - 8), (x - 3, y - 24), (x + 3, y - 9)], shade(coat, 85))
    pen.circle(x + 8, y, 2.4, BLACK)


def _horse(pen: Pen, rng: Random) -> None:
    coats = ((140, 85, 50), (95, 60, 40), (190, 140, 90), (70, 62, 60), (225, 220, 212))
    coat = rng.choice(coats)
    _equine(pen, rng, coat, rng.choice((BLACK, shade(coat, 60))), striped=False)


def _zebra(pen: Pen, rng: Random) -> None:
    _equine(pen, rng, rng.choice((WHITE, (235, 222, 200))), BLACK, striped=True)


def _giraffe(pen: Pen, rng: Random) -> None:
    coat = rng.choice(((235, 195, 125), (225, 180, 105), (240, 212, 155)))
    patch = rng.choice(((150, 90, 40), (120, 70, 35), (175, 105, 50)))
    _tail(pen, rng, patch, 36, [2, 2, 4])
    x, y = _quadruped(pen, rng, coat, 25, (66, 5), (38, 118))
    _spots(pen, rng, patch, 17, rng.uniform(7.5, 9), 6)
    pen.limb([(x - 3, y), (x + 12, y + 4), (x + 26, y + 12)], [10, 9, 6], coat)
    for ahead in (-5, 3):
        pen.limb([(x + ahead, y - 6), (x + ahead - 3, y - 20)], [2, 2.6], patch)
    pen.ellipse(x - 13, y - 6, 9, 4, shade(coat, 85), 25)
    pen.circle(x + 7, y - 1, 2.4, BLACK)
    pen.circle(x + 28, y + 13, 4.5, shade(coat, 70))


def _elephant(pen: Pen, rng: Random) -> None:
    grey = rng.choice(((140, 142, 150), (120, 118, 122), (160, 150, 145), (130, 115, 105)))
    _tail(pen, rng, shade(grey, 80), 30, [2.5, 2, 3])
    x, y = _quadruped(pen, rng, grey, 40, (40, 11), (20, 24))
    pen.circle(x + 2, y, 27, grey)
    reach, curl = rng.uniform(10, 34), rng.uniform(-50, 14)
    trunk = [(x + 20, y + 6), (x + 32, y + 38), (x + 26 + reach, y + 58 + curl / 2)]
    pen.limb([*trunk, (x + 36 + reach, y + 48 + curl)], [14, 9, 6.5, 5], shade(grey, 94))
    if rng.random() < 0.7:
        pen.limb([(x + 19, y + 18), (x + 34, y + 28), (x + 46, y + 22)], [4, 3, 1], WHITE)
    ear = rng.uniform(17, 25)
    pen.ellipse(x - 13, y + 2, ear, 31, shade(grey, 74), rng.randint(-15, 20))
    pen.ellipse(x - 13, y + 2, ear * 0.75, 24, shade(grey, 86), 8)
    pen.circle(x + 15, y - 7, 2.8, BLACK)


def _feline(pen: Pen, rng: Random, coat: Colour, head: Point, size: float, sharp: bool) -> None:
    """Draws the head of a cat, small or big, at a point."""
    x, y = head
    iris = rng.choice(((190, 200, 70), (215, 160, 50), (110, 180, 120)))
    for side in (-1, 1):
        if sharp:
            tip = (x + side * size * 0.8, y - size * 1.5)
            base = [
                (x + side * size * 0.95, y - size * 0.2),
                (x + side * size * 0.1, y - size * 0.8),
            ]
            pen.polygon([tip, *base], shade(coat, 88))
        else:
            pen.circle(x + side * size * 0.72, y - size * 0.75, size * 0.34, shade(coat, 72))
    pen.ellipse(x, y, size * 1.08, size * 0.95, shade(coat, 105))
    for side in (-1, 1):
        pen.ellipse(x + side * size * 0.3, y + size * 0.42, size * 0.34, size * 0.27, WHITE)
        pen.circle(x + side * size * 0.42, y - size * 0.12, size * 0.21, iris)
        pen.circle(x + side * size * 0.42, y - size * 0.12, size * 0.1, BLACK)
    pen.circle(x, y + size * 0.26, size * 0.13, (190, 100, 100))


def _cat(pen: Pen, rng: Random) -> None:
    coats = ((200, 130, 65), (125, 120, 118), (60, 56, 58), (225, 215, 200), (205, 165, 105))
    coat = rng.choice(coats)
    _tail(pen, rng, shade(coat, 90), 62, [6, 5.5, 5])
    head = _quadruped(pen, rng, coat, 24, (36, 6), (12, 28))
    pattern = rng.random()
    if pattern < 0.45:
        _stripes(pen, rng, shade(coat, 68), 12, 2.2)
    elif pattern < 0.6:
        _spots(pen, rng, shade(coat, 50), 13, 4, 8)
    _feline(pen, rng, coat, head, rng.uniform(20, 26), True)


def _leopard(pen: Pen, rng: Random) -> None:
    coat = rng.choice(((225, 170, 85), (205, 150, 80), (235, 195, 125), (190, 180, 165)))
    _tail(pen, rng, coat, 70, [6, 5, 5.5])
    head = _quadruped(pen, rng, coat, 24, (38, 7), (20, 22))
    _spots(pen, rng, shade(BLACK, 150), rng.randint(11, 14), rng.uniform(4.2, 5), 8)
    _feline(pen, rng, coat, head, rng.uniform(17, 22), rng.random() < 0.1)


def _owl(pen: Pen, rng: Random) -> None:
    coat = rng.choice(((135, 98, 62), (110, 90, 75), (170, 130, 85), (215, 210, 205)))
    pale, spread = shade(coat, 140), rng.choice((0, 0, rng.uniform(20, 75)))
    bark = (85, 62, 45)
    pen.limb([(-150, 62), (0, 66), (150, 54 + rng.uniform(-6, 12))], [7, 6, 4], bark)
    for side in (-1, 1):
        tips = [
            (side * (38 + spread), 10 - spread * 0.3),
            (side * (30 + spread), 52 - spread * 0.7),
        ]
        pen.limb([(side * 26, -18), *tips], [14, 15, 5], shade(coat, 78))
    pen.limb([(0, 60), (0, 92)], [14, 9], shade(coat, 65))
    pen.ellipse(0, 16, 37, 52, coat)
    pen.ellipse(0, 24, 26, 40, pale)
    _spots(pen, rng, shade(coat, 70), 12, 3, 3)
    tilt = rng.uniform(-7, 7)
    ears = rng.choice((0, 18, 26))
    for side in (-1, 1):
        tuft = [(side * 34 + tilt, -52 - ears), (side * 12 + tilt, -62), (side * 36 + tilt, -34)]
        pen.polygon(tuft, shade(coat, 85))
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
    fin, sway = shade(coat, 78), rng.uniform(-12, 12)
    tail = [(-58, 0), (-98, sway - 32), (-84, sway), (-98, sway + 32)]
    pen.polygon(tail, fin)
    pen.limb([(-38, -depth * 0.6), (-5, -depth * 1.15), (30, -depth * 0.6)], [7, 12, 5], fin)
    pen.limb([(-30, depth * 0.6), (-12, depth * 1.15)], [9, 5], fin)
    pen.limb([(-66, 0), (-12, 0), (42, 0), (66, 3)], [6, depth, depth * 0.72, 8], coat)
    pattern = rng.random()
    if pattern < 0.4:
        _stripes(pen, rng, rng.choice((WHITE, BLACK)), 26, 5)
    elif pattern < 0.65:
        _spots(pen, rng, shade(coat, 65), 13, 4, 6)
    pen.limb([(12, 8), (-6, 18 + sway), (-14, 14 + sway)], [6, 7, 3], fin)
    pen.circle(44, -7, 7, WHITE)
    pen.circle(46, -7, 3.8, BLACK)
    pen.limb([(70, 6), (62, 9), (56, 8)], [1, 1, 0.8], shade(coat, 45))


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
