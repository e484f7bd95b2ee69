import os
import time

import pytest

from pipeline.core import caches

NOW = time.time()


def entry(path, size, hours_ago):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    for one in (path, path.parent):
        os.utime(one, (NOW, NOW - 3600 * hours_ago))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setitem(caches.BOUNDS, "features", 1000)
    monkeypatch.setitem(caches.BOUNDS, "checkpoints", 1000)
    for size, hours in ((300, 5), (150, 3), (400, 4), (350, 2), (100, 1)):
        entry(tmp_path / f"features/{hours}", size, hours)
    return tmp_path


def left(cache, name="features"):
    return {path.name for path in (cache / name).iterdir()}


def test_what_was_used_the_longest_ago_goes_until_the_rest_fits(cache, capsys):
    """100 + 350 + 150 + 400 are 1,000 bytes, which is the bound; the 300 are beyond it."""
    caches.prune(cache, "features")
    assert left(cache) == {"1", "2", "3", "4"}
    assert "features: removed 1 entries" in capsys.readouterr().out
    caches.prune(cache, "features", "checkpoints")
    assert left(cache) == {"1", "2", "3", "4"}
    assert capsys.readouterr().out == ""


def test_what_this_process_used_stays_even_beyond_the_bound(cache):
    for name, size in (("new", 900), ("newer", 800)):
        (cache / "features" / name).write_bytes(bytes(size))
    caches.prune(cache, "features")
    assert left(cache) == {"new", "newer"}


def test_a_folder_goes_as_a_whole_by_the_last_use_of_any_of_its_files(cache):
    entry(cache / "checkpoints/old/state.npz", 600, 9)
    entry(cache / "checkpoints/used/run_id", 30, 9)
    entry(cache / "checkpoints/used/state.npz", 700, 2)
    caches.prune(cache, "checkpoints")
    assert left(cache, "checkpoints") == {"used"}
    assert left(cache / "checkpoints", "used") == {"run_id", "state.npz"}


def test_the_checksum_that_a_download_is_held_to_stays(cache, monkeypatch):
    monkeypatch.setitem(caches.BOUNDS, "downloads", 10)
    entry(cache / "downloads/unchecked-1", 90, 9)
    entry(cache / "downloads/unchecked-1.sha256", 64, 9)
    caches.prune(cache, "downloads")
    assert left(cache, "downloads") == {"unchecked-1.sha256"}
