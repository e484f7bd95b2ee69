"""Reads and follows a recipe: a YAML file that names the origin of a collection.

A kind of recipe is a section of typed lines and a function that follows it.
"""

from pathlib import Path
from typing import Literal

from pipeline.core.yaml_file import Section, parse
from pipeline.sources.recipes import archives, observations
from pipeline.sources.recipes.synthetic.collection import Drawn, draw

SUFFIXES = (".yaml", ".yml")


class _AnyKind(Section, extra="ignore"):
    kind: Literal["drawn", "archive", "inaturalist", "gbif"]


_KINDS = {
    "drawn": Drawn,
    "archive": archives.Published,
    "inaturalist": observations.Observed,
    "gbif": observations.Observed,
}


def is_recipe(path: Path) -> bool:
    """Returns whether a source is a recipe, going by its name."""
    return path.is_file() and path.suffix.lower() in SUFFIXES


def read(path: Path) -> Drawn | archives.Published | observations.Observed:
    """Reads and checks a recipe.

    Raises:
        UserError: It has a mistake; names its line.
    """
    return parse(path, _KINDS[parse(path, _AnyKind).kind])


def provenance(source: str) -> dict[str, str]:
    """Returns values that hold for all photos of a source, by column of the manifest.

    The origin is `drawn` where code drew them, so that results on them do not hold for photos.
    """
    path = Path(source)
    if not is_recipe(path):
        return {}
    recipe = read(path)
    if isinstance(recipe, archives.Published):
        return {"origin": recipe.archives[0].url, "licence": recipe.licence}
    return {"origin": recipe.kind}


def follow(path: Path, into: Path, jobs: int) -> None:
    """Gathers the collection that a recipe describes into an empty folder.

    Raises:
        UserError: The recipe has a mistake, or what it names cannot be had.
    """
    recipe = read(path)
    if isinstance(recipe, archives.Published):
        archives.unpack(recipe, into)
    elif isinstance(recipe, observations.Observed):
        observations.gather(recipe, into)
    else:
        draw(recipe, into, jobs)
