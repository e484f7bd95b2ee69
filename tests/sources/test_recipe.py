from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.params import parse
from pipeline.sources import recipe

RECIPES = Path(__file__).parents[2] / "data" / "sources"
GOOD = """\
# a comment
kind: drawn
species: [cat, owl]
per_species: 2
size: 64
seed: 1
exact_duplicates: 1
near_duplicates: 1
broken: 1
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "recipe.yaml"
        path.write_text(text)
        return path

    return write


def mistake(path, into):
    with pytest.raises(UserError) as caught:
        recipe.follow(path, into, 1)
    assert not into.exists() or not list(into.iterdir())
    return str(caught.value)


def test_recipe_is_followed(written, tmp_path):
    recipe.follow(written(GOOD), tmp_path / "files", 1)
    files = sorted(p.relative_to(tmp_path / "files").as_posix() for p in tmp_path.rglob("*.jpg"))
    assert len(files) == 2 * 2 + 3
    assert {name.split("/")[0] for name in files} == {"cat", "owl"}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.name)
def test_recipes_of_the_repository_are_valid(path):
    parse(path, recipe.Recipe)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("size: 64", "size: 32", ["line 5", "size is 32", "greater than or equal to 64"]),
        ("size: 64", "size: big", ["line 5", "size is 'big'", "integer"]),
        ("size: 64\n", "", ["size is missing"]),
        ("seed: 1", "seed: -1", ["line 6", "seed is -1"]),
        ("kind: drawn", "kind: painted", ["line 2", "kind is 'painted'", "'drawn'"]),
        ("[cat, owl]", "[cat]", ["line 3", "species", "at least 2"]),
        ("[cat, owl]", "cat", ["line 3", "species is 'cat'", "list"]),
        ("[cat, owl]", "[cat, unicorn]", ["Cannot draw unicorn", "known: cat"]),
        ("exact_duplicates: 1", "exact_duplicates: 9", ["Cannot copy 10 pictures out of 4"]),
        ("seed: 1", "seed: [1", ["not YAML", "line"]),
    ],
)
def test_mistakes_name_file_and_line(written, tmp_path, before, after, said):
    path = written(GOOD.replace(before, after))
    message = mistake(path, tmp_path / "files")
    for part in [str(path), *said]:
        assert part in message


def test_unknown_key_lists_the_keys_of_a_recipe(written, tmp_path):
    path = written(GOOD + "sizes: 3\n")
    message = mistake(path, tmp_path / "files")
    assert f"{path} line 10: sizes is no param" in message
    assert "per_species" in message
    assert "parallel" not in message
