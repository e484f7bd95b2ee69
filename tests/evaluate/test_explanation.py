import numpy as np
import pandas as pd
import pytest
import shard_files

from pipeline.dataset import shards
from pipeline.evaluate import explanation

SIZE = 40


class Spot:
    """Knows the one by a bright spot, whose place its map shows."""

    def __init__(self, _):
        pass

    def outputs(self, picture):
        spots = (picture[..., 0] == 255).reshape(8, 5, 8, 5).mean(axis=(1, 3))
        maps = np.stack([10 * spots, np.zeros((8, 8))], axis=-1)
        return {"probabilities": self.one(picture), "activation_maps": maps}

    def one(self, picture):
        return np.array([0.9, 0.1]) if (picture[..., 0] == 255).any() else np.array([0.3, 0.7])

    def map_ordered(self, function, pictures):
        return [function(picture) for picture in pictures]

    def __call__(self, pictures):
        return np.stack([self.one(picture) for picture in pictures])


@pytest.fixture
def test_split(tmp_path):
    """Twelve dark pictures with a spot of 5 x 5 px each, elsewhere in each."""
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 200, (12, SIZE, SIZE, 3), dtype=np.uint8)
    for picture, (top, left) in zip(pictures, rng.integers(0, 8, (12, 2)) * 5, strict=True):
        picture[top : top + 5, left : left + 5] = 255
    shard_files.write(tmp_path / "resized", pd.DataFrame({"photo": range(12)}), pictures)
    test = pd.DataFrame({"species": ["one", "other"] * 6})
    return shards.Shards(tmp_path / "resized"), test


def test_hiding_the_hottest_part_changes_more_than_hiding_any(test_split, monkeypatch):
    monkeypatch.setattr(explanation, "Network", Spot)
    found = explanation.measure(b"", *test_split)
    assert found["photos"] == 12
    assert found["hottest"] == pytest.approx(np.log(0.9 / 0.3))
    assert 0 <= found["random"] < 0.4 * found["hottest"]


def test_networks_without_maps_are_not_looked_at(test_split, monkeypatch):
    class Plain(Spot):
        def outputs(self, picture):
            return {"probabilities": self.one(picture)}

    monkeypatch.setattr(explanation, "Network", Plain)
    assert explanation.measure(b"", *test_split) is None
