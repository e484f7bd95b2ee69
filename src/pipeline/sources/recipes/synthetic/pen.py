"""Draws curves, ellipses and colours with rounded coordinates."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
SUPERSAMPLE = 2
BLACK, WHITE = (25, 22, 22), (245, 243, 238)


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
        self.cos, self.sin = direction(turn)

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Returns the pixel of a point."""
        (left, top), scale, _, flip = self.pose
        across, down = x * self.cos - y * self.sin, x * self.sin + y * self.cos
        return round(left + flip * scale * across), round(top + scale * down)

    def polygon(self, points: Sequence[Point], colour: Colour | int) -> None:
        """Draws a filled polygon."""
        self.draw.polygon([self.at(x, y) for x, y in points], fill=colour)

    def circle(self, x: float, y: float, radius: float, colour: Colour | int) -> None:
        """Draws a filled circle."""
        (left, top), reach = self.at(x, y), max(1, round(radius * self.pose[1]))
        self.draw.ellipse((left - reach, top - reach, left + reach, top + reach), fill=colour)

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour | int, turn: int = 0
    ) -> None:
        """Draws a filled ellipse of radii `rx` and `ry`, turned by some degrees."""
        cos, sin = direction(turn)
        ring = [(rx * a, ry * b) for a, b in map(direction, range(0, 360, 12))]
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
def direction(degrees: int) -> Point:
    """Returns cosine and sine, cut to the digits on which all machines agree."""
    angle = math.radians(degrees)
    return round(math.cos(angle), 6), round(math.sin(angle), 6)


def _spline(a: float, b: float, c: float, d: float, t: float) -> float:
    """Interpolates between b and c (Catmull-Rom)."""
    return b + t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))) / 2


def shade(colour: Colour, percent: int) -> Colour:
    """Returns a colour made lighter (above 100 %) or darker."""
    red, green, blue = (min(255, value * percent // 100) for value in colour)
    return red, green, blue
