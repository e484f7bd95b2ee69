from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sources.recipes import recipe

RECIPES = Path(__file__).parents[3] / "data" / "sources"
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
    recipe.read(path)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("size: 64", "size: 32", ["line 5", "size is 32", "greater than or equal to 64"]),
        ("size: 64", "size: big", ["line 5", "size is 'big'", "integer"]),
        ("size: 64\n", "", ["size is missing"]),
        ("seed: 1", "seed: -1", ["line 6", "seed is -1"]),
        ("kind: drawn", "kind: painted", ["line 2", "kind is 'painted'", "'drawn'"]),
        ("kind: drawn\n", "", ["kind is missing"]),
        ("[cat, owl]", "[cat]", ["line 3", "species", "at least 2"]),
        ("[cat, owl]", "cat", ["line 3", "species is 'cat'", "list"]),
        ("[cat, owl]", "[cat, unicorn]", ["Cannot draw unicorn", "known: cat"]),
        ("exact_duplicates: 1", "exact_duplicates: 9", ["Cannot copy 10 pictures out of 4"]),
        ("seed: 1", "seed: [1", ["not valid YAML", "line"]),
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
    assert f"{path} line 10: unknown parameter `sizes`" in message
    assert "per_species" in message
    assert "parallel" not in message


ARCHIVE = """\
kind: archive
archives:
  - url: https://example.org/a.zip
    size: 5
    sha256: 331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91
  - url: s3://bucket/b.tar
    size: 5
licence: CC0-1.0
citation: Nobody
"""


def test_archives_may_be_many_and_of_unknown_checksum(written):
    first, second = recipe.read(written(ARCHIVE)).archives
    assert first.sha256 and not second.sha256


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("https:", "ftp:", ["line 3", "archives.0.url is 'ftp://example.org/a.zip'"]),
        ("https://example.org/a.zip", "file:///etc/passwd", ["line 3", "archives.0.url"]),
        ("s3://bucket/b.tar\n    size: 5", "s3://b/c\n    size: 0", ["line 7", "1.size is 0"]),
        ("    sha256: 33", "    sha256: ZZ", ["line 5", "archives.0.sha256"]),
        (
            "    sha256: 33",
            "    md5: 33",
            ["line 5", "unknown parameter", "md5`", "url, size, sha256"],
        ),
        ("licence: CC0-1.0\n", "", ["licence is missing"]),
        ("licence: CC0-1.0", "licence: ''", ["line 8", "licence is ''"]),
        ("citation:", "species_from: '(a'\ncitation:", ["line 9", "not a regular expression"]),
        ("citation:", "species_from: '(a)'\ncitation:", ["line 9", "no group (?P<species>...)"]),
    ],
)
def test_mistakes_in_an_archive_name_their_line(written, tmp_path, before, after, said):
    message = mistake(written(ARCHIVE.replace(before, after)), tmp_path / "files")
    for part in said:
        assert part in message


OBSERVED = """\
kind: inaturalist
species:
  fox: Vulpes vulpes
  badger: Meles meles
per_species: 5
licences: [cc0]
"""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("fox:", "../fox:", ["line 3", "../fox"]),
        ("fox:", ".fox:", ["line 3", ".fox"]),
        ("  badger: Meles meles\n", "", ["line 2", "species"]),
        ("[cc0]", "[]", ["line 6", "licences"]),
        ("[cc0]", "[cc0, mine]", ["line 6", "licences.1 is 'mine'", "'cc-by-nc'"]),
        ("per_species: 5", "per_species: 0", ["line 5", "per_species is 0"]),
        ("per_species: 5", "per_species: 5\nside: 300", ["line 6", "side is 300", "500 or 1024"]),
        ("per_species: 5", "per_species: 5\napi: file:///x", ["line 6", "api"]),
    ],
)
def test_mistakes_in_observations_name_their_line(written, tmp_path, before, after, said):
    message = mistake(written(OBSERVED.replace(before, after)), tmp_path / "files")
    for part in said:
        assert part in message


def test_provenance_is_what_holds_for_all_photos(written, tmp_path):
    assert recipe.provenance(str(written(GOOD))) == {"origin": "drawn"}
    assert recipe.provenance(str(written(OBSERVED))) == {"origin": "inaturalist"}
    assert recipe.provenance(str(written(ARCHIVE))) == {
        "origin": "https://example.org/a.zip",
        "licence": "CC0-1.0",
    }
    assert recipe.provenance(str(tmp_path)) == {}
