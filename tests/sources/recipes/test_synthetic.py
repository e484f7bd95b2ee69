import hashlib

import pytest
from PIL import Image

from pipeline.sources.recipes.synthetic.animals import ANIMALS
from pipeline.sources.recipes.synthetic.collection import Drawn, draw

RECIPE = Drawn(
    species=list(ANIMALS),
    per_species=2,
    size=64,
    seed=3,
    exact_duplicates=2,
    near_duplicates=2,
    broken=1,
)
# Changes with any change of the drawing, and possibly with a new release of Pillow.
GOLDEN = "937488a73e4600f61f673ff23dec2123592e1543f433ddae7fa14975e5adbd66"


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jpg")
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    draw(RECIPE, folder)
    return folder


@pytest.mark.parametrize("jobs", [1, 2])
def test_same_bytes_again(folder, tmp_path, jobs):
    draw(RECIPE, tmp_path, jobs=jobs)
    assert contents(tmp_path) == contents(folder)


def test_other_seed_gives_other_pictures(folder, tmp_path):
    draw(RECIPE.model_copy(update={"seed": 4}), tmp_path)
    before = contents(folder)
    assert all(before.get(name) != content for name, content in contents(tmp_path).items())


def test_golden_digest(folder):
    digest = hashlib.sha256()
    for name, content in sorted(contents(folder).items()):
        digest.update(name.encode() + content)
    assert digest.hexdigest() == GOLDEN


def test_number_of_files(folder):
    assert len(contents(folder)) == len(ANIMALS) * 2 + 2 + 2 + 1
    assert {path.name for path in folder.iterdir()} == set(ANIMALS)


def test_pictures_decode_and_have_the_size(folder):
    for path in folder.rglob("*-[0-9][0-9][0-9][0-9].jpg"):
        with Image.open(path) as image:
            image.load()
            assert max(image.size) == RECIPE.size


def test_exact_duplicates_are_the_same_bytes(folder):
    copies = list(folder.rglob("*-exact.jpg"))
    assert len(copies) == 2
    for copy in copies:
        original = copy.with_name(copy.name.replace("-exact", ""))
        assert copy.read_bytes() == original.read_bytes()


def test_near_duplicates_are_smaller_versions(folder):
    copies = list(folder.rglob("*-near.jpg"))
    assert len(copies) == 2
    for copy in copies:
        original = copy.with_name(copy.name.replace("-near", ""))
        assert max(Image.open(copy).size) < max(Image.open(original).size)


def test_broken_picture_does_not_decode(folder):
    (broken,) = folder.rglob("*-broken.jpg")
    with Image.open(broken) as image, pytest.raises(OSError):
        image.load()


def test_unknown_species():
    with pytest.raises(ValueError, match="Cannot draw unicorn; known: cat, elephant"):
        Drawn(**dict(RECIPE) | {"species": ["cat", "unicorn"]})


def test_more_duplicates_than_pictures():
    with pytest.raises(ValueError, match="Cannot copy 19 pictures out of 16"):
        Drawn(**dict(RECIPE) | {"exact_duplicates": 17})
