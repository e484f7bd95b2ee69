import os
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.inference import decoding
from pipeline.predict import inputs


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("b/2.jpg", "b/10.JPG", "a.png", "a/z.webp", "a/notes.txt", "a/.hidden.jpg", "b/odd")
    for name in names:
        path = tmp_path / "trip" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "trip"


def paths(*arguments):
    return [photo.path for photo in inputs.find(arguments)]


def test_folders_are_walked_in_the_order_of_names_and_only_photos_count(tree):
    assert paths("trip") == ["trip/a.png", "trip/a/z.webp", "trip/b/10.JPG", "trip/b/2.jpg"]


def test_a_file_that_is_named_is_taken_whatever_its_name(tree):
    assert paths("trip/b/odd", "trip/a/notes.txt") == ["trip/b/odd", "trip/a/notes.txt"]


def test_patterns_reach_any_depth(tree):
    assert paths("trip/**/*.jpg", "trip/*.png") == ["trip/b/2.jpg", "trip/a.png"]


def test_what_is_not_there_is_named(tree):
    for missing in ("trip/none.jpg", "trip/none*.jpg"):
        with pytest.raises(UserError, match="there is no trip/none"):
            paths("trip", missing)


def test_a_link_that_leads_round_is_not_followed(tree):
    (tree / "a" / "round").symlink_to(tree)
    (tree / "a" / "gone.jpg").symlink_to(tree / "nowhere")
    assert len(paths("trip")) == 4


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.xz"])
def test_archives_are_read_without_being_unpacked(tree, suffix):
    archive = tree.with_name(f"trip{suffix}")
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for path in tree.rglob("*"):
                opened.write(path, path.relative_to(tree))
    else:
        with tarfile.open(archive, f"w:{suffix.removeprefix('.tar').removeprefix('.')}") as opened:
            opened.add(tree, "")
    found = list(inputs.find([archive.name]))
    assert {photo.path.removeprefix(f"{archive.name}/").removeprefix("/") for photo in found} == {
        "a.png", "a/z.webp", "b/10.JPG", "b/2.jpg",
    }  # fmt: skip
    for photo in [*found, found[0]]:
        assert photo.path.endswith(photo.read().decode())


def test_a_broken_archive_is_named(tree):
    whole = tree.with_name("trip.tar.gz")
    with tarfile.open(whole, "w:gz") as opened:
        opened.add(tree, "")
    (tree / "broken.tgz").write_bytes(whole.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"broken.tgz cannot be unpacked"):
        paths("trip/broken.tgz")


def test_what_cannot_be_read_or_is_too_large_is_no_photo(tree, monkeypatch):
    photo = next(inputs.find(["trip"]))
    monkeypatch.setattr(inputs, "MAX_BYTES", 3)
    with pytest.raises(decoding.PhotoError, match="over 3 bytes"):
        photo.read()
    (tree / "a.png").unlink()
    with pytest.raises(decoding.PhotoError, match="No such file"):
        photo.read()


def test_names_that_are_no_text_are_shown_all_the_same(tree):
    (tree / os.fsdecode(b"\xff.jpg")).write_bytes(b"pixels")
    photo = next(photo for photo in inputs.find(["trip"]) if "xff" in photo.path)
    assert photo.path == "trip/\\xff.jpg"
    assert photo.read() == b"pixels"


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A folder that may not be read, to root neither: its listing is refused."""
    folder = tmp_path / "photos" / "locked"
    folder.mkdir(parents=True)
    scandir = os.scandir

    def refused(path):
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    return folder


def test_a_folder_that_may_not_be_read_is_counted_and_one_that_was_named_is_a_sentence(locked):
    (locked.parent / "a.jpg").touch()
    passed_over = Counter()
    (photo,) = inputs.find([str(locked.parent)], passed_over)
    assert photo.path.endswith("photos/a.jpg")
    assert passed_over == {"folder that may not be read": 1}
    with pytest.raises(UserError, match=r"locked cannot be read: Permission denied"):
        list(inputs.find([str(locked)]))
