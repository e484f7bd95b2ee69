from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shard_files

from pipeline.dataset import shards

SIZE = 5


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(shards, "LENGTH", 4)


def made(count):
    pictures = np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    index = pd.DataFrame({"photo": [f"p{i}" for i in range(count)], "species": "cat"})
    return index, pictures


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 11])
def test_pictures_come_back_in_order(tmp_path, count):
    index, pictures = made(count)
    shard_files.write(tmp_path / "s", index, pictures)
    read = shards.Shards(tmp_path / "s")
    assert len(read) == count
    assert read.size == SIZE
    assert np.array_equal(read.take(range(count)), pictures)
    assert list(read.index["photo"]) == list(index["photo"])
    lengths = [len(read.shard(number)) for number in read.index["shard"].unique()]
    assert lengths == [4] * (count // 4) + ([count % 4] if count % 4 else [])


def test_take_gives_any_order_and_repetition(tmp_path):
    index, pictures = made(11)
    shard_files.write(tmp_path / "s", index, pictures)
    wanted = [10, 0, 7, 7, 3]
    assert np.array_equal(shards.Shards(tmp_path / "s").take(wanted), pictures[wanted])


def test_plain_numpy_reads_a_shard(tmp_path):
    index, pictures = made(6)
    shard_files.write(tmp_path / "s", index, pictures)
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == [
        "images-00000.npy",
        "images-00001.npy",
        "index.parquet",
    ]
    assert np.array_equal(np.load(tmp_path / "s" / "images-00001.npy"), pictures[4:])


def test_pictures_stay_on_disk_until_they_are_read(tmp_path):
    index, pictures = made(6)
    shard_files.write(tmp_path / "s", index, pictures)
    assert isinstance(shards.Shards(tmp_path / "s").shard(0), np.memmap)


def test_few_files_are_held_open(tmp_path, monkeypatch):
    """Though each picture may be asked for: a system gives a process a thousand or so."""
    monkeypatch.setattr(shards, "_OPEN", 2)
    index, pictures = made(40)
    shard_files.write(tmp_path / "s", index, pictures)
    read = shards.Shards(tmp_path / "s")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for position in (*range(40), *range(40)):
        assert np.array_equal(read.take([position])[0], pictures[position])
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_any_index_of_the_frame_will_do(tmp_path):
    index, pictures = made(6)
    shard_files.write(tmp_path / "s", index.set_index(pd.Index([9, 9, 3, 1, 0, 2])), pictures)
    read = shards.Shards(tmp_path / "s").index
    assert list(read["photo"]) == list(index["photo"])
    assert list(read["shard"]) == [0, 0, 0, 0, 1, 1]
    assert list(read["row"]) == [0, 1, 2, 3, 0, 1]
