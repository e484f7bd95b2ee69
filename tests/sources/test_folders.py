import os

import pytest
from listed import list_files

from pipeline.core.errors import UserError
from pipeline.sources import folders


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def found(folder):
    """(path, species, reason) of each file, in order."""
    rows = list_files(folder)[["path", "species", "reason"]].astype(object)
    return list(rows.where(rows.notna(), None).itertuples(index=False, name=None))


def test_class_folders_at_any_depth(tmp_path):
    make(tmp_path, "dog/1.jpg", "cat/2020/may/b.jpg", "cat/2020/a.jpg", "cat/c.jpg")
    assert found(tmp_path) == [
        ("cat/2020/a.jpg", "cat", None),
        ("cat/2020/may/b.jpg", "cat", None),
        ("cat/c.jpg", "cat", None),
        ("dog/1.jpg", "dog", None),
    ]


def test_every_file_counts_whatever_its_name(tmp_path):
    make(tmp_path, "cat/a.jpg", "cat/notes.txt", "cat/noending", "cat/x.JPEG")
    assert len(found(tmp_path)) == 4


@pytest.mark.parametrize(
    "name",
    [
        "cat/.hidden.jpg",
        "cat/.cache/a.jpg",
        "cat/Thumbs.db",
        "cat/desktop.ini",
        "cat/.DS_Store",
        "__MACOSX/cat/a.jpg",
        ".git/objects/a",
        "$RECYCLE.BIN/a.jpg",
        "System Volume Information/a",
    ],
)
def test_hidden_and_system_files_are_not_seen(tmp_path, name):
    make(tmp_path, "cat/1.jpg", "dog/2.jpg", name)
    assert [path for path, *_ in found(tmp_path)] == ["cat/1.jpg", "dog/2.jpg"]


def test_files_outside_class_folders_are_counted(tmp_path):
    make(tmp_path, "cat/1.jpg", "stray.jpg")
    assert ("stray.jpg", None, "outside_class_folders") in found(tmp_path)


def test_linked_folders_are_counted_but_not_followed(tmp_path):
    make(tmp_path / "elsewhere", "a.jpg", "b.jpg")
    top = make(tmp_path / "top", "cat/1.jpg")
    (top / "dog").symlink_to(tmp_path / "elsewhere")
    (top / "cat" / "circle").symlink_to(top)
    assert found(top) == [
        ("cat/1.jpg", "cat", None),
        ("cat/circle", "cat", "linked_folder"),
        ("dog", "dog", "linked_folder"),
    ]


def test_linked_photos_are_found(tmp_path):
    make(tmp_path / "elsewhere", "a.jpg")
    top = make(tmp_path / "top", "cat/1.jpg")
    (top / "cat" / "2.jpg").symlink_to(tmp_path / "elsewhere" / "a.jpg")
    assert [path for path, *_ in found(top)] == ["cat/1.jpg", "cat/2.jpg"]


def test_order_is_that_of_the_paths(tmp_path):
    make(tmp_path, "b/1.jpg", "a b/1.jpg", "a/2.jpg", "a/10.jpg", "a.b/1.jpg", "C/1.jpg")
    paths = [path for path, *_ in found(tmp_path)]
    assert paths == sorted(paths)


@pytest.mark.parametrize("names", [(), ("a.jpg", "b.jpg"), (".hidden/a.jpg",)])
def test_no_class_folders(tmp_path, names):
    make(tmp_path, *names)
    with pytest.raises(UserError, match="holds no class folders; put the photos into one folder"):
        found(tmp_path)


def test_lone_wrapping_folders_are_looked_through(tmp_path):
    make(tmp_path, "download/photos/cat/1.jpg", "download/photos/dog/1.jpg", ".DS_Store")
    assert folders.top(tmp_path) == tmp_path / "download" / "photos"


def test_lone_class_folder_is_no_wrapping_folder(tmp_path):
    make(tmp_path, "cat/1.jpg", "cat/2.jpg")
    assert folders.top(tmp_path) == tmp_path


def test_class_folders_are_no_wrapping_folders(tmp_path):
    make(tmp_path, "cat/may/1.jpg", "dog/may/1.jpg")
    assert folders.top(tmp_path) == tmp_path


def test_root_is_the_source_or_where_it_was_unpacked(tmp_path):
    source = make(tmp_path / "source", "wrap/cat/1.jpg", "wrap/dog/1.jpg")
    files = make(tmp_path / "files", "cat/1.jpg", "dog/1.jpg")
    assert folders.root(str(source), files) == source / "wrap"
    assert folders.root(str(tmp_path / "photos.zip"), files) == files


def test_names_beyond_ascii(tmp_path):
    make(tmp_path, "ネコ/写真.jpg", "söt hund/a b.jpg")
    assert [species for _, species, _ in found(tmp_path)] == ["söt hund", "ネコ"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folder_that_may_not_be_read_is_not_passed_over(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "dog").chmod(0)
    try:
        with pytest.raises((UserError, OSError)):
            assert len(found(tmp_path)) == 2
    finally:
        (tmp_path / "dog").chmod(0o700)


def test_empty_folders_are_told(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "owl").mkdir()
    (tmp_path / "cat" / "x.jpg").mkdir()
    rows = found(tmp_path)
    assert ("cat/x.jpg", "cat", "empty_folder") in rows
    assert ("owl", "owl", "empty_folder") in rows


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("train_set", "valid_set", "test set"),
        ("train2017", "val2017", "test2017"),
        ("TRAIN", "dev", "holdout"),
        ("training images", "valid", "test-images"),
    ],
)
def test_given_splits_are_told_by_the_names_of_folders(tmp_path, train, validation, test):
    make(tmp_path, f"{train}/cat/1.jpg", f"{train}/dog/deep/2.jpg", f"{validation}/cat/3.jpg")
    make(tmp_path, f"{test}/dog/4.jpg", f"{test}/5.jpg", "images to predict/6.jpg", "7.jpg")
    rows = list_files(tmp_path).set_index(list_files(tmp_path)["path"].str[-5:-4])
    assert rows["species"].dropna().to_dict() == {"1": "cat", "2": "dog", "3": "cat", "4": "dog"}
    hints = {"1": "train", "2": "train", "3": "validation", "4": "test"}
    assert rows["split_hint"].dropna().to_dict() == hints
    assert set(rows["reason"][["5", "6", "7"]]) == {"outside_class_folders"}


def test_a_species_may_be_called_like_a_split(tmp_path):
    make(tmp_path, "test/1.jpg", "cat/2.jpg", "dev/3.jpg")
    rows = list_files(tmp_path)
    assert sorted(rows["species"]) == ["cat", "dev", "test"]
    assert rows["split_hint"].isna().all()
