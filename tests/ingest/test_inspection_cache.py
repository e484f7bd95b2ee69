import os
import shutil

import pytest
from PIL import Image

from pipeline.dataset import image_statistics, near_duplicates
from pipeline.inference import decoding, exif, truncation
from pipeline.ingest import inspection_cache
from pipeline.ingest.inspection_cache import FileInspection

LIMIT = 10**7


@pytest.fixture
def paths(collection):
    """Paths of a collection that was written long enough ago for its times to be believed."""
    found = sorted(path.relative_to(collection).as_posix() for path in collection.rglob("*.jpg"))
    for path in found:
        os.utime(collection / path, (1e9, 1e9))
    return found


@pytest.fixture(autouse=True)
def never_too_fresh(monkeypatch):
    monkeypatch.setattr(inspection_cache, "_TOO_FRESH", 0)  # a file's ctime cannot be set back


@pytest.fixture
def work(monkeypatch):
    """Counts files read and pictures decoded."""
    done = {"read": 0, "decoded": 0}

    def counted(name, function):
        def call(*arguments):
            done[name] += 1
            return function(*arguments)

        return call

    monkeypatch.setattr(
        inspection_cache, "inspect_file", counted("decoded", inspection_cache.inspect_file)
    )
    monkeypatch.setattr(
        inspection_cache, "_inspect_changed", counted("read", inspection_cache._inspect_changed)
    )
    return done


@pytest.fixture
def inspect(collection, tmp_path):
    def at(paths, limit=LIMIT, jobs=1):
        return list(
            inspection_cache.inspect_files(collection, paths, limit, jobs, tmp_path / "cache")
        )

    return at


def test_an_inspection_says_what_the_bytes_say(collection, paths):
    data = (collection / paths[0]).read_bytes()
    seen = inspection_cache.inspect_file(data, LIMIT)
    image = Image.open(collection / paths[0])
    small = decoding.inspect(data).picture
    assert seen == FileInspection(
        decoding.identity(data),
        *image.size,
        near_duplicates.phash(small),
        format="JPEG",
        **image_statistics.measure(small)._asdict(),
    )


def test_what_is_no_picture_has_a_reason():
    seen = inspection_cache.inspect_file(b"no picture", LIMIT)
    assert seen == FileInspection(
        decoding.identity(b"no picture"), reason="not_an_image", detail=seen.detail
    )


def test_inspections_come_in_the_order_of_the_paths(collection, paths, inspect):
    expected = [
        inspection_cache.inspect_file((collection / path).read_bytes(), LIMIT) for path in paths
    ]
    assert inspect(paths) == expected
    assert inspect(paths[::-1]) == expected[::-1]


def test_unchanged_files_are_not_opened_again(paths, inspect, work):
    before = inspect(paths)
    assert work == {"read": 24, "decoded": 24}
    assert inspect(paths) == before
    assert work == {"read": 24, "decoded": 24}


def test_new_and_changed_files_cost_what_they_are(collection, paths, inspect, work):
    inspect(paths)
    shutil.copy(collection / paths[0], collection / paths[1])
    shutil.copy(collection / paths[0], collection / "cat" / "new.jpg")
    after = inspect([*paths, "cat/new.jpg"])
    assert work == {"read": 26, "decoded": 26}
    assert after[0] == after[1] == after[-1]


def test_change_that_leaves_size_and_time_as_they_were_is_seen(collection, paths, inspect):
    inspect(paths)
    path = collection / paths[0]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    os.utime(path, (1e9, 1e9))
    assert inspect(paths)[0].photo == decoding.identity(bytes(data))


def test_touched_files_are_read_and_not_decoded(collection, paths, inspect, work):
    before = inspect(paths)
    for path in paths[:5]:
        (collection / path).touch()
    assert inspect(paths) == before
    assert work == {"read": 29, "decoded": 24}


def test_files_written_just_now_are_read_again(collection, paths, inspect, work, monkeypatch):
    monkeypatch.setattr(inspection_cache, "_TOO_FRESH", 3600e9)
    before = inspect(paths)
    assert inspect(paths) == before
    assert work == {"read": 48, "decoded": 24}


def test_file_that_cannot_be_read_is_tried_again(collection, paths, inspect):
    (collection / "cat" / "folder").mkdir()
    assert inspect(["cat/folder"])[0].reason == "unreadable"
    (collection / "cat" / "folder").rmdir()
    assert inspect(["cat/folder"])[0].detail == "the file cannot be read: No such file or directory"
    shutil.copy(collection / paths[0], collection / "cat" / "folder")
    assert inspect(["cat/folder"]) == inspect(paths[:1])


def test_other_limit_inspects_again(paths, inspect, work):
    assert {seen.reason for seen in inspect(paths)} == {None}
    assert {seen.reason for seen in inspect(paths, limit=4096)} == {"too_many_pixels"}
    assert work["decoded"] == 48


@pytest.mark.parametrize("module", [decoding, exif, truncation, near_duplicates])
def test_other_code_inspects_again(paths, inspect, work, module, tmp_path, monkeypatch):
    inspect(paths)
    mended = tmp_path / "mended.py"
    mended.write_text("other code")
    monkeypatch.setattr(module, "__file__", str(mended))
    inspect(paths)
    assert work["decoded"] == 48


def test_killed_run_goes_on_where_it_was(collection, paths, inspect, work, monkeypatch):
    monkeypatch.setattr(inspection_cache, "_FILES_A_JOB", 6)
    monkeypatch.setattr(inspection_cache, "_SECONDS_BETWEEN_COMMITS", 0)
    real = inspection_cache.inspect_file

    def dies(data, limit):
        if work["decoded"] == 15:
            raise KeyboardInterrupt
        return real(data, limit)

    with monkeypatch.context() as patch:
        patch.setattr(inspection_cache, "inspect_file", dies)
        with pytest.raises(KeyboardInterrupt):
            inspect(paths)
    work["decoded"] = 0
    assert inspect(paths) == [
        inspection_cache.inspect_file((collection / p).read_bytes(), LIMIT) for p in paths
    ]
    assert work["decoded"] - 24 == 12


def test_number_of_processes_changes_nothing(paths, inspect, tmp_path):
    one = inspect(paths)
    shutil.rmtree(tmp_path / "cache")
    assert inspect(paths, jobs=2) == one


def test_hashes_keep_all_64_bits(collection, inspect, monkeypatch):
    monkeypatch.setattr(near_duplicates, "phash", lambda grey: 2**64 - 1)
    (path,) = list((collection / "cat").iterdir())[:1]
    assert inspect([f"cat/{path.name}"])[0].phash == 2**64 - 1
