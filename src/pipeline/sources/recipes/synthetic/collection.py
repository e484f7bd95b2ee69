"""Draws the demo collection: stylised animals, so that the pipeline runs without a download.

Every choice comes from a `random.Random` seeded with the picture's name, coordinates are rounded
before anything is drawn, and light and noise are integer arithmetic: a recipe gives the same bytes
on every machine with the same release of Pillow.
"""

import io
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated, Literal

from PIL import Image, ImageChops, ImageDraw, ImageFilter
from pydantic import Field, model_validator

from pipeline.core import parallel
from pipeline.core.progress import track
from pipeline.core.yaml_file import Section
from pipeline.sources.recipes.synthetic.animals import ANIMALS
from pipeline.sources.recipes.synthetic.pen import BLACK, SUPERSAMPLE, Pen
from pipeline.sources.recipes.synthetic.scenes import (
    LAND,
    SCENES,
    WATER,
    background,
    develop,
    foreground,
)

ASPECTS = ((4, 3), (4, 3), (3, 2), (16, 9), (1, 1), (3, 4), (2, 3))
HARD_SHARE = 0.13
Count = Annotated[int, Field(ge=0)]


class Drawn(Section):
    """A collection drawn by code: `kind: drawn`.

    Args:
        species: Names out of `ANIMALS`; each gets a folder.
        per_species: Different pictures of each species.
        size: Longer side of a picture in pixels.
        seed: Another seed gives other pictures.
        exact_duplicates: Pictures stored a second time, byte for byte.
        near_duplicates: Pictures stored a second time, a little smaller, re-lit and re-encoded.
        broken: Truncated JPEG files. These and the duplicates come on top of `per_species`.
    """

    kind: Literal["drawn"] = "drawn"
    species: Annotated[list[str], Field(min_length=2)]
    per_species: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=64, le=4096)]
    seed: Count
    exact_duplicates: Count
    near_duplicates: Count
    broken: Count

    @model_validator(mode="after")
    def _can_be_drawn(self) -> "Drawn":
        if unknown := [name for name in self.species if name not in ANIMALS]:
            raise ValueError(f"Cannot draw {', '.join(unknown)}; known: {', '.join(ANIMALS)}.")
        pictures = len(self.species) * self.per_species
        if (copies := self.exact_duplicates + self.near_duplicates) > pictures:
            raise ValueError(f"Cannot copy {copies} pictures out of {pictures}.")
        return self


def _picture(species: str, index: int, recipe: Drawn) -> Image.Image:
    rng = Random(f"{recipe.seed}:{species}:{index}")
    wide, high = rng.choice(ASPECTS)
    size = (recipe.size * wide // max(wide, high), recipe.size * high // max(wide, high))
    hard = rng.choice(("tiny", "dark", "hidden", "cut")) if rng.random() < HARD_SHARE else ""
    scene = rng.choice(WATER if species == "fish" else LAND)
    image = background(rng, scene, size)

    big = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
    layer, front = Image.new("RGBA", big), Image.new("RGBA", big)
    edge = 0.42 if hard == "cut" else rng.choice((0, 0.05, 0.16))
    left = 0.5 + rng.choice((-1, 1)) * edge + rng.uniform(-0.05, 0.05)
    origin = (big[0] * left, big[1] * rng.uniform(0.5, 0.64))
    reach = min(size) * (rng.uniform(0.12, 0.2) if hard == "tiny" else rng.uniform(0.6, 1.1))
    turn, flip = rng.randint(-9, 9), rng.choice((-1, 1))
    ANIMALS[species](Pen(layer, origin, SUPERSAMPLE * reach / 210, turn, flip), rng)
    foreground(front, rng, SCENES[scene][4], hard == "hidden")
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
    return develop(image, rng, hard == "dark")


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
    """Draws a collection as `folder/<species>/<name>.jpg`, the same with any number of jobs."""
    pictures = [(name, index) for name in recipe.species for index in range(recipe.per_species)]
    copies = recipe.exact_duplicates + recipe.near_duplicates
    twice = Random(f"{recipe.seed}:copies").sample(pictures, copies)
    tasks = [(*picture, "") for picture in pictures]
    tasks += [(*picture, "exact") for picture in twice[: recipe.exact_duplicates]]
    tasks += [(*picture, "near") for picture in twice[recipe.exact_duplicates :]]
    for extra in range(recipe.broken):
        name = recipe.species[extra % len(recipe.species)]
        tasks.append((name, recipe.per_species + extra, "broken"))
    drawn = parallel.map_ordered(partial(_write, folder.absolute(), recipe), tasks, jobs)
    for _ in track(drawn, len(tasks), "draw", "pictures"):
        pass
