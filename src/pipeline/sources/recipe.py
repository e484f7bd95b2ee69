"""A recipe: a YAML file that says where a collection comes from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.errors import UserError
from pipeline.params import Section, parse
from pipeline.sources import drawn

SUFFIXES = (".yaml", ".yml")
Count = Annotated[int, Field(ge=0)]


class Recipe(Section):
    """A collection drawn by code: `kind: drawn`."""

    kind: Literal["drawn"]
    species: Annotated[list[str], Field(min_length=2)]
    per_species: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=64, le=4096)]
    seed: Count
    exact_duplicates: Count
    near_duplicates: Count
    broken: Count


def is_drawn(source: str) -> bool:
    """Whether a collection is drawn by code, so that results on it say nothing about photos."""
    path = Path(source)
    recipe = path.is_file() and path.suffix.lower() in SUFFIXES
    return recipe and parse(path, Recipe).kind == "drawn"


def follow(path: Path, into: Path, jobs: int) -> None:
    """Makes the collection that a recipe describes.

    Args:
        path: The recipe.
        into: The folder for its class folders.
        jobs: Processes to use.

    Raises:
        UserError: The recipe has a mistake; names its line.
    """
    read = parse(path, Recipe)
    lines = read.model_dump(exclude={"kind"}) | {"species": tuple(read.species)}
    try:
        drawn.draw(drawn.Drawn(**lines), into, jobs)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
