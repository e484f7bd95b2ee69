import shutil

import numpy as np
import pytest

from pipeline import checks, photos, resizing
from pipeline.errors import UserError
from pipeline.sources import folders


@pytest.fixture
def manifest(collection, tmp_path):
    found = folders.walk(collection)
    inspected = checks.inspect(collection, found, 10**7, 1, tmp_path / "cache")
    return checks.judge(inspected, 32, 6)[0]


def squares(root, manifest, jobs=1, fit="crop"):
    return np.concatenate(list(resizing.squares(root, manifest, 48, fit, 10**7, jobs)))


def test_pictures_stand_in_the_order_of_the_manifest(collection, manifest):
    shuffled = manifest.sample(frac=1, random_state=0)
    pictures = squares(collection, shuffled)
    assert pictures.shape == (24, 48, 48, 3)
    assert pictures.dtype == np.uint8
    for picture, path in zip(pictures, shuffled["path"], strict=True):
        assert np.array_equal(picture, photos.square((collection / path).read_bytes(), 48))


def test_number_of_processes_changes_no_byte(collection, manifest, monkeypatch):
    monkeypatch.setattr(resizing, "_PHOTOS_A_JOB", 5)
    assert np.array_equal(squares(collection, manifest), squares(collection, manifest, jobs=2))


def test_fit_is_heeded(collection, manifest):
    pictures = {fit: squares(collection, manifest, fit=fit) for fit in ("crop", "pad", "stretch")}
    assert (pictures["pad"] == 128).mean() > (pictures["crop"] == 128).mean() + 0.05
    assert not np.array_equal(pictures["crop"], pictures["stretch"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_photo_that_is_gone(collection, manifest, jobs):
    path = collection / manifest["path"][3]
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read .*; run `dvc repro` again") as caught:
        squares(collection, manifest, jobs)
    assert str(path) in str(caught.value)


def test_photo_that_changed(collection, manifest):
    path = collection / manifest["path"][3]
    shutil.copy(collection / manifest["path"][4], path)
    with pytest.raises(UserError, match=r"has changed since ingest.*`dvc repro`") as caught:
        squares(collection, manifest)
    assert str(path) in str(caught.value)
