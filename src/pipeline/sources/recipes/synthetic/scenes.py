"""Draws what stands behind and before an animal, and the light on it."""

from random import Random

import numpy as np
from PIL import Image, ImageFilter

from pipeline.sources.recipes.synthetic.pen import SUPERSAMPLE, WHITE, Colour, Pen, Point, shade

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


def _clouds(rng: Random, size: tuple[int, int], columns: int, rows: int) -> np.ndarray:
    """Returns smooth random patches between -128 and 127."""
    grid = Image.frombytes("L", (columns, rows), rng.randbytes(columns * rows))
    return np.asarray(grid.resize(size, Image.Resampling.BILINEAR), dtype=np.int32) - 128


def _tuft(pen: Pen, rng: Random, at: Point, height: int, colour: Colour, blades: int) -> None:
    x, y = at
    for _ in range(blades):
        foot, lean = x + rng.uniform(-0.6, 0.6) * height, rng.uniform(-0.4, 0.4) * height
        tip = (foot + lean, y - height * rng.uniform(0.5, 1))
        tone = shade(colour, rng.randint(75, 150))
        pen.polygon([(foot - height / 22, y), (foot + height / 22, y), tip], tone)


def _plant(pen: Pen, rng: Random, x: int, y: int, height: int, colour: Colour) -> None:
    """Draws a tree, a bush, a fir or a stone standing at (x, y)."""
    kind = rng.choice(("tree", "tree", "bush", "fir", "stone"))
    if kind == "stone":
        pen.ellipse(x, y, height / 4, height / 7, shade((120, 118, 115), rng.randint(60, 120)))
    elif kind == "fir":
        for level in range(3):
            top, half = y - height * (10 - 2 * level) / 10, height * (2 + level) / 14
            base = top + height * 0.45
            pen.polygon([(x, top), (x - half, base), (x + half, base)], shade(colour, 80))
    else:
        if kind == "tree":
            trunk = [(x, y), (x + height // 20, y - height * 0.7)]
            pen.limb(trunk, [height / 16, height / 26], (88, 66, 48))
        crown = y - height * 0.8 if kind == "tree" else y - height * 0.12
        for _ in range(9):
            left, top = rng.uniform(-0.3, 0.3) * height, rng.uniform(-0.1, 0.14) * height
            radius = height * rng.uniform(0.1, 0.18)
            pen.circle(x + left, crown + top, radius, shade(colour, rng.randint(75, 125)))


def background(rng: Random, scene: str, size: tuple[int, int]) -> Image.Image:
    """Draws sky, ground, hills and plants of one of `SCENES`; `size` is in px."""
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
        _tuft(pen, rng, (rng.randint(0, width), y), rng.randint(8, 26), plant, 5)
    return image.filter(ImageFilter.BoxBlur(rng.randint(1, 2)))


def foreground(layer: Image.Image, rng: Random, plant: Colour, hidden: bool) -> None:
    """Draws the grass and the branches that hide a part of the animal."""
    width, height = (side // SUPERSAMPLE for side in layer.size)
    pen = Pen(layer, scale=SUPERSAMPLE)
    tallest = height // 2 if hidden else height // 4
    for _ in range(rng.randint(12, 16) if hidden else rng.choice((0, 2, 5))):
        tall = rng.randint(tallest // 2, tallest)
        _tuft(pen, rng, (rng.randint(0, width), height + 4), tall, plant, 9)
    for _ in range(rng.randint(2, 3) if hidden else rng.choice((0, 0, 0, 0, 1))):
        ends = [(-9, rng.randint(0, height)), (width + 9, rng.randint(0, height))]
        middle = (width // 2, (ends[0][1] + ends[1][1]) // 2 + rng.randint(-20, 20))
        pen.limb([ends[0], middle, ends[1]], [7, 5, 3], (75, 56, 42))
        for _ in range(26 if hidden else 12):
            x = rng.randint(0, width)
            y = ends[0][1] + (ends[1][1] - ends[0][1]) * x / width + rng.uniform(-18, 18)
            tone = shade(plant, rng.randint(85, 150))
            pen.ellipse(x, y, rng.uniform(7, 14), 4, tone, rng.randint(0, 180))


def develop(image: Image.Image, rng: Random, dark: bool) -> Image.Image:
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
