import itertools
import os
import time
from dataclasses import replace

import numpy as np
import pytest
from train.test_trainer import network

from pipeline.core import caches
from pipeline.networks import devices, feature_cache, keras_setup


class Pictures:
    """In memory, where a folder of shards is expected."""

    def __init__(self, count: int):
        self._pictures = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), np.uint8)

    def take(self, positions: np.ndarray) -> np.ndarray:
        return self._pictures[positions]


@pytest.fixture
def asked():
    """How many pictures a network was asked about, call by call."""
    return []


@pytest.fixture
def mean(asked):
    """A network that says the mean of each picture."""

    def means(pictures: list[np.ndarray]) -> np.ndarray:
        asked.append(len(pictures))
        return np.mean(pictures, axis=(1, 2), dtype=np.float32)

    return feature_cache.Frozen(b"mean", lambda: means)


def extract(*arguments):
    """Features of all pictures, and of how many of them they were cached."""
    parts, cached = zip(*feature_cache.extract(*arguments), strict=True)
    return np.concatenate(parts), sum(map(len, itertools.compress(parts, cached)))


def test_every_picture_has_its_features_in_order(mean, asked, tmp_path):
    positions = np.random.default_rng(1).permutation(1500)
    pictures = Pictures(1500)
    found, had = extract(mean, pictures, positions, tmp_path)
    assert had == 0
    np.testing.assert_array_equal(found, pictures.take(positions).mean(axis=(1, 2), dtype="f4"))
    again, had = extract(mean, pictures, positions, tmp_path)
    assert had == 1500
    np.testing.assert_array_equal(again, found)
    extract(replace(mean, key=b"another"), pictures, positions, tmp_path)
    assert sum(asked) == 3000
    assert max(asked) <= 1024


def test_the_same_bytes_in_another_shape_are_another_picture(mean, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (20, 2, 8, 3), np.uint8)
    for shape in ((2, 8), (8, 2), (4, 4)):
        folder = Pictures(0)
        folder._pictures = pictures.reshape(20, *shape, 3)
        _, had = extract(mean, folder, np.arange(20), tmp_path)
        assert had == 0, f"pictures of {shape} get the features of other ones"


def test_pictures_that_begin_with_the_same_one_are_not_the_same(mean, tmp_path):
    pictures = Pictures(3)
    for positions in ([0, 1], [0, 2]):
        found, had = extract(mean, pictures, np.array(positions), tmp_path)
        assert had == 0, "the features of others are taken"
        np.testing.assert_array_equal(found, pictures.take(positions).mean(axis=(1, 2), dtype="f4"))


def test_a_picture_that_comes_or_goes_leaves_the_others_known(mean, tmp_path):
    pictures, all_of_them = Pictures(3000), np.arange(3000)
    extract(mean, pictures, all_of_them, tmp_path)
    for positions in (all_of_them[1:], np.delete(all_of_them, 1500)):
        found, had = extract(mean, pictures, positions, tmp_path)
        assert 1500 < had < 3000  # all but a part or two
        np.testing.assert_array_equal(found, pictures.take(positions).mean(axis=(1, 2), dtype="f4"))


@pytest.mark.parametrize("left", [0, 20, 200])
def test_what_a_power_cut_left_is_computed_again(mean, tmp_path, left):
    pictures = Pictures(100)
    found, _ = extract(mean, pictures, np.arange(100), tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:left])
    again, had = extract(mean, pictures, np.arange(100), tmp_path)
    assert had == 0
    np.testing.assert_array_equal(again, found)


def test_features_that_are_read_count_as_used_for_the_caches_bound(mean, tmp_path, monkeypatch):
    pictures = Pictures(100)
    extract(mean, pictures, np.arange(100), tmp_path / "features")
    known, others = set((tmp_path / "features").iterdir()), tmp_path / "features/others.npy"
    others.write_bytes(b"old")
    for path in (*known, others):
        os.utime(path, (0, time.time() - 24 * 3600))
    extract(mean, pictures, np.arange(100), tmp_path / "features")
    monkeypatch.setitem(caches.BOUNDS, "features", 0)
    caches.prune(tmp_path, "features")
    assert set((tmp_path / "features").iterdir()) == known


@pytest.mark.slow
def test_a_gpu_says_what_litert_says(monkeypatch, tmp_path):
    keras_setup.seed(0)
    small = network(32)
    pictures = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), np.uint8)
    litert = feature_cache.Frozen.of(small, tmp_path / "litert")
    monkeypatch.setattr(devices, "training_gpus", lambda: ["gpu:0"])  # a CPU is asked in its place
    gpu = feature_cache.Frozen.of(small, tmp_path / "gpu")
    assert gpu.key != litert.key
    assert not (tmp_path / "gpu").exists()
    assert gpu == feature_cache.Frozen.of(small, tmp_path)
    np.testing.assert_allclose(gpu.load()(pictures), litert.load()(pictures), atol=1e-3)
    assert not small.compiled  # or it would be saved with an optimizer


def test_a_gpu_with_little_memory_sees_fewer_pictures_at_once(monkeypatch, tmp_path, capsys):
    keras_setup.seed(0)
    keras = keras_setup.keras()
    small = network(32)
    pictures = np.random.default_rng(0).integers(0, 256, (70, 32, 32, 3), np.uint8)
    expected, batches = small.predict(pictures, verbose=0), []
    predict = keras.Model.predict_on_batch

    def predict_few(model, batch):
        batches.append(len(batch))
        if len(batch) > 16:
            raise MemoryError
        return predict(model, batch)

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict_few)
    monkeypatch.setattr(devices, "training_gpus", lambda: ["gpu:0"])  # a CPU is asked in its place
    ask = feature_cache.Frozen.of(small, tmp_path).load()
    np.testing.assert_allclose(ask(pictures), expected, atol=1e-5)
    assert batches == [64, 32, *[16] * 5]
    assert "no memory for 32 pictures at once: going on with 16" in capsys.readouterr().out
    ask(pictures)
    assert batches[7:] == [16] * 5
