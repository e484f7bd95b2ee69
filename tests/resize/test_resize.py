import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from listed import list_files

from pipeline.core.errors import UserError
from pipeline.dataset import shards
from pipeline.inference import decoding, exif, truncation
from pipeline.ingest import manifest as manifests
from pipeline.resize import crops, shard_writer


@pytest.fixture
def manifest(collection, tmp_path):
    found = list_files(collection)
    inspected = manifests.inspect(collection, found, 10**7, 1, tmp_path / "cache")
    return manifests.screen(inspected, 32, 6)[0]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "resized"


@pytest.fixture
def write(collection, folder, tmp_path):
    """Writes shards of a manifest, as DVC lets a stage do, and gives their files' bytes."""

    def write(manifest, jobs=1, fit="crop", size=48, margin=0.0):
        shutil.rmtree(folder, ignore_errors=True)
        cache = tmp_path / "squares"
        wanted = crops.pictures(manifest, "boxes" if margin else "none", margin)
        squares = shard_writer.Squares(collection, size, fit, 10**7)
        shard_writer.write(folder, squares, wanted, jobs, cache)
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    return write


@pytest.fixture
def decoded(monkeypatch):
    """The photos that were decoded."""
    done = []

    def square(path, *arguments):
        done.append(path.name)
        return real(path, *arguments)

    real = shard_writer._square
    monkeypatch.setattr(shard_writer, "_square", square)
    return done


@pytest.fixture
def short(monkeypatch):
    """Shards of five pictures, drawn two at a time."""
    monkeypatch.setattr(shards, "LENGTH", 5)
    monkeypatch.setattr(shards, "_PICTURES_A_JOB", 2)


def pictures(folder):
    read = shards.Shards(folder)
    return read.take(range(len(read)))


def test_pictures_stand_in_the_order_of_their_paths(collection, manifest, write, folder):
    write(manifest.sample(frac=1, random_state=0))
    read = shards.Shards(folder)
    assert len(read) == 24
    assert read.size == 48
    ordered = manifest.sort_values("path")
    assert list(read.index["photo"]) == list(ordered["photo"])
    for picture, path in zip(pictures(folder), ordered["path"], strict=True):
        assert np.array_equal(picture, decoding.square((collection / path).read_bytes(), 48))


def test_number_of_processes_changes_no_byte(manifest, write, tmp_path):
    one = write(manifest)
    shutil.rmtree(tmp_path / "squares")
    assert write(manifest, jobs=2) == one


def test_fit_is_heeded(manifest, write, folder):
    grey, seen = {}, {}
    for fit in ("crop", "pad", "stretch"):
        write(manifest, fit=fit)
        seen[fit] = pictures(folder)
        grey[fit] = (seen[fit] == 128).mean()
    assert grey["pad"] > grey["crop"] + 0.05
    assert not np.array_equal(seen["crop"], seen["stretch"])


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_photo_that_is_gone(collection, manifest, write, jobs):
    path = collection / manifest["path"][3]
    path.unlink()
    with pytest.raises(UserError, match=r"cannot be read .*; run `dvc repro` again") as caught:
        write(manifest, jobs)
    assert str(path) in str(caught.value)


def test_photo_that_changed(collection, manifest, write, folder):
    path = collection / manifest["path"][3]
    shutil.copy(collection / manifest["path"][4], path)
    with pytest.raises(UserError, match=r"has changed since ingest.*`dvc repro`") as caught:
        write(manifest)
    assert str(path) in str(caught.value)
    assert not folder.exists()


def test_nothing_is_decoded_twice(manifest, write, decoded, short):
    first = write(manifest)
    assert len(decoded) == 24
    assert write(manifest) == first
    assert len(decoded) == 24


def test_new_photos_cost_what_they_are(manifest, write, decoded, short, tmp_path):
    write(manifest.drop(index=[3, 4, 11]))
    decoded.clear()
    after = write(manifest)
    assert len(decoded) == 3
    shutil.rmtree(tmp_path / "squares")
    assert write(manifest) == after


def test_a_new_photo_changes_no_shard_but_its_own(manifest, write, short):
    """Nor has it a say in where shards end, but for the one it may itself be at the end of."""
    whole = write(manifest)
    assert len(whole) > 4
    for gone in manifest.index:
        part = write(manifest.drop(index=gone))
        assert len(set(whole.values()) - set(part.values())) <= 3  # the index, and at most two


def test_photos_that_went_leave_the_rest(manifest, write, decoded, short, tmp_path):
    write(manifest)
    decoded.clear()
    after = write(manifest.drop(index=[0, 23]))
    assert decoded == []
    shutil.rmtree(tmp_path / "squares")
    assert write(manifest.drop(index=[0, 23])) == after


@pytest.mark.parametrize("change", [{"size": 40}, {"fit": "pad"}])
def test_other_settings_decode_again(manifest, write, decoded, change, tmp_path):
    write(manifest)
    after = write(manifest, **change)
    assert len(decoded) == 48
    shutil.rmtree(tmp_path / "squares")
    assert write(manifest, **change) == after


@pytest.mark.parametrize("module", [decoding, exif, truncation])
def test_other_code_decodes_again(manifest, write, decoded, module, tmp_path, monkeypatch):
    write(manifest)
    mended = tmp_path / "mended.py"
    mended.write_text("other code")
    monkeypatch.setattr(module, "__file__", str(mended))
    write(manifest)
    assert len(decoded) == 48


def test_killed_run_goes_on_with_the_shard_where_it_was(
    collection, manifest, write, folder, decoded, short, tmp_path
):
    path = collection / manifest["path"].max()
    path.rename(collection / "away.jpg")
    with pytest.raises(UserError):
        write(manifest)
    assert not folder.exists()
    (collection / "away.jpg").rename(path)
    decoded.clear()
    after = write(manifest)
    shard = shards.Shards(folder).index["shard"]
    assert len(decoded) == (shard == shard.max()).sum() < 24
    shutil.rmtree(tmp_path / "squares")
    assert write(manifest) == after


def test_cache_takes_no_room_and_holds_the_last_run_only(manifest, write, folder, short, tmp_path):
    write(manifest, fit="pad")
    write(manifest.drop(index=2))
    names = {path.name for path in (tmp_path / "squares").rglob("*.npy")}
    assert len(names) == len(list(folder.iterdir())) > 3  # for the index, which photos are there
    assert all(path.stat().st_nlink == 2 for path in folder.glob("*.npy"))


def test_deleted_part_of_the_cache_is_made_again(manifest, write, decoded, short, tmp_path):
    after = write(manifest)
    for path in (tmp_path / "squares").rglob("*.npy"):
        if path.name != "photos.npy":
            path.unlink()
    assert write(manifest) == after
    assert len(decoded) == 48
    write(manifest.drop(index=7))
    next((tmp_path / "squares").rglob("[0-9a-f]*.npy")).unlink()
    assert write(manifest) == after


def test_file_system_without_hard_links(manifest, write, monkeypatch):
    after = write(manifest)

    def refuse(source, target):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert write(manifest) == after


BOXED = pd.DataFrame(
    {
        "photo": ["a", "b", "c"],
        "path": ["1.jpg", "2.jpg", "3.jpg"],
        "species": ["cat", "owl", "owl"],
        "width": [400, 100, 50],
        "height": [200, 300, 50],
        "box": [json.dumps([[0.4, 0.3, 0.1, 0.4], [0.9, 0.9, 0.1, 0.1]]), None, "[[0, 0, 1, 1]]"],
        "detections": [
            json.dumps([[0.5, 0.3, 0.05, 0.2], [0, 0, 1, 1]]),
            None,
            "[[0.2, 0.2, 0.6, 0.1]]",
        ],
        "detection_sources": ['["motion", "boxes"]', None, '["motion"]'],
    }
)


def test_whole_photos_are_pictures_as_they_are():
    rows = crops.pictures(BOXED, "none", 0.1)
    assert rows["box"].isna().all()
    whole = BOXED.drop(columns=["box", "detections", "detection_sources"])
    pd.testing.assert_frame_equal(rows.drop(columns="box"), whole)


def test_each_subject_is_cut_out_as_a_square_within_the_photo():
    rows = crops.pictures(BOXED, "boxes", 0.25)
    assert rows["photo"].tolist() == ["a", "a", "b", "c"]
    assert rows["species"].tolist() == ["cat", "cat", "owl", "owl"]
    boxes = rows["box"].map(json.loads, na_action="ignore").tolist()
    # 40 x 80 px around (180, 100): 120 px a side; 40 x 20 px in the corner: 60 px a side.
    assert boxes[:2] == [[0.3, 0.2, 0.3, 0.6], [0.85, 0.7, 0.15, 0.3]]
    assert pd.isna(boxes[2])
    assert boxes[3] == [0.0, 0.0, 1.0, 1.0]
    sizes = rows[["width", "height"]].to_numpy().tolist()
    assert sizes == [[120, 120], [60, 60], [100, 300], [50, 50]]


def test_views_are_the_whole_photo_and_two_parts_around_the_best_detection():
    rows = crops.pictures(BOXED, "views", 0.25)
    assert rows["photo"].tolist() == ["a", "a", "a", "b", "c", "c", "c"]
    assert rows["view"].tolist() == [0, 1, 2, 0, 0, 1, 2]
    assert rows["species"].tolist() == ["cat"] * 3 + ["owl"] * 4
    boxes = rows["box"].map(json.loads, na_action="ignore").tolist()
    assert rows["box"].isna().tolist() == [True, False, False, True, True, False, False]
    # 20 x 40 px around (210, 80): 60 px a side with the margin, over 0.13 of 400; the wider one
    # would have 80 px, and has 0.3 of 400.
    assert boxes[1:3] == [[0.45, 0.25, 0.15, 0.3], [0.375, 0.1, 0.3, 0.6]]
    # 30 x 5 px around (25, 12.5): 45 px a side with the margin, and all of 50.
    assert boxes[5:] == [[0.05, 0.0, 0.9, 0.9], [0.0, 0.0, 1.0, 1.0]]
    sizes = rows[["width", "height"]].to_numpy().tolist()
    assert sizes[:4] == [[400, 200], [60, 60], [120, 120], [100, 300]]
    row = crops.pictures(BOXED[:1], "views", 0).iloc[1]
    assert json.loads(row["box"]) == [0.46, 0.27, 0.13, 0.26], "0.13 of the longer side, not 40 px"


@pytest.mark.parametrize(
    ("crop", "line"),
    [
        ("none", ""),
        ("boxes", "resize.crop boxes: the box of each subject is cut out, 3 pictures; 1 are uncut"),
        (
            "auto",
            "resize.crop auto: 3 photos are seen whole, and 2 of them closely too, 4 pictures more",
        ),
    ],
)
def test_what_is_cut_out_is_printed(crop, line):
    described = crops.describe(crops.pictures(BOXED, crop, 0.1), BOXED, crop)
    assert described.startswith(line) and bool(described) == bool(line)


def test_a_subject_larger_than_the_photo_is_narrow_takes_all_its_breadth():
    tall = BOXED.iloc[1:2].assign(box="[[0.2, 0.1, 0.6, 0.8]]")
    (row,) = crops.pictures(tall, "boxes", 0).itertuples()
    assert json.loads(row.box) == [0.0, 0.1, 1.0, 0.8]
    assert (row.width, row.height) == (100, 240)


def test_squares_are_those_of_the_cut_out_file(collection, manifest, write, folder, decoded):
    two = json.dumps([[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.4, 0.2]])
    manifest["box"] = manifest["box"].where(manifest["species"] != "cat", two)
    write(manifest, margin=0.1)
    read = shards.Shards(folder)
    assert len(read) == 24 + 6
    cats = read.index[read.index["species"] == "cat"]
    assert len(cats) == 12
    assert cats["box"].notna().all()
    paths = manifest.set_index("photo")["path"]
    for position, row in cats.iterrows():
        data = (collection / paths[row["photo"]]).read_bytes()
        expected = decoding.square(decoding.cut(data, json.loads(row["box"])), 48)
        assert np.array_equal(read.take([position])[0], expected)
    decoded.clear()
    before = write(manifest, margin=0.1)
    assert decoded == []
    assert before == write(manifest, margin=0.1, jobs=2)
    assert len(write(manifest)) == len(before)
    assert len(decoded) == 6  # the cats as a whole; the other squares are known
