import numpy as np
import pandas as pd
import pytest
import shard_files

from pipeline.dataset import shards
from pipeline.dataset.sampling import sample
from pipeline.evaluate import robustness
from pipeline.evaluate.corruptions import CORRUPTIONS, corrupt
from pipeline.inference.calibration import Calibration
from pipeline.train.metrics import calibration_error

LABELS = ("dark", "light")
CALIBRATION = Calibration(temperature=0.5, unknown_below=0.5, set_from=0.1)


def said(picture):
    """Light, the more the lighter the picture is."""
    light = picture.mean() / 255
    return np.array([1 - light, light])


class Light:
    def __init__(self, _):
        pass

    def __call__(self, pictures):
        return np.stack([said(picture) for picture in pictures])


@pytest.fixture
def test_split(tmp_path):
    """Forty dark pictures and ten light ones, each at every second place of the shards."""
    rng = np.random.default_rng(0)
    level = np.where(np.arange(100) // 2 % 5 == 0, 150, 90)[:, None, None, None]
    pictures = (level + rng.integers(-20, 20, (100, 12, 12, 3))).astype(np.uint8)
    shard_files.write(tmp_path / "resized", pd.DataFrame({"photo": range(100)}), pictures)
    names = np.where(np.arange(50) % 5 == 0, "light", "dark")
    return shards.Shards(tmp_path / "resized"), pd.DataFrame({"species": names}, range(0, 100, 2))


def test_each_picture_is_worsened_by_each_corruption(test_split, monkeypatch):
    """Answer by answer."""
    monkeypatch.setattr(robustness, "Network", Light)
    monkeypatch.setattr(robustness, "PHOTOS", 50)
    resized, test = test_split
    found = robustness.measure(b"", resized, test, LABELS, CALIBRATION)
    assert (found["photos"], found["clean_accuracy"]) == (50, 1)
    targets = (test["species"] == "light").to_numpy().astype(int)
    pictures = resized.take(test.index)
    first = np.random.default_rng(0).permutation(50)
    right, middle, shown, by_strength = {}, [], [], {s: [] for s in (1, 2, 3, 4, 5)}
    for turn, name in enumerate(CORRUPTIONS):
        strength = [1 + (start + turn) % 5 for start in first]
        rows = enumerate(zip(pictures, strength, strict=True))
        answers = np.stack([said(corrupt(p, name, s, i)) for i, (p, s) in rows])
        right[name] = answers.argmax(axis=1) == targets
        for s, is_right in zip(strength, right[name], strict=True):
            by_strength[s].append(is_right)
        at_middle = np.array(strength) == 3
        squared = answers[at_middle] ** 2
        middle.append(squared / squared.sum(axis=1, keepdims=True))
        shown.append(targets[at_middle])
    expected = {name: row.mean() for name, row in right.items()}
    assert {row["corruption"]: row["accuracy"] for row in found["corruptions"]} == expected
    assert found["accuracy"] == pytest.approx(np.mean(list(expected.values())))
    assert found["relative"] == found["accuracy"] < 0.95
    assert {len(of) for of in by_strength.values()} == {110}
    for row in found["strengths"]:
        assert row["accuracy"] == np.mean(by_strength[row["strength"]])
    error = calibration_error(np.concatenate(middle), np.concatenate(shown))
    assert found["calibration_error"] == pytest.approx(error)


def test_of_a_photo_with_several_views_all_are_worsened_and_pooled(tmp_path, monkeypatch):
    """As it is served. Whole, each photo looks dark; the parts around its animal are light."""
    rng, light = np.random.default_rng(0), np.arange(20) % 2 == 1
    level = np.where(light[:, None], [90, 240, 200], [90, 20, 60]).reshape(-1, 1, 1, 1)
    pictures = (level + rng.integers(-15, 15, (60, 12, 12, 3))).astype(np.uint8)
    index = pd.DataFrame({"photo": np.repeat(range(20), 3), "view": [0, 1, 2] * 20})
    shard_files.write(tmp_path / "resized", index, pictures)
    test = pd.DataFrame({"species": np.where(light, "light", "dark")}, range(0, 60, 3))
    monkeypatch.setattr(robustness, "Network", Light)
    found = robustness.measure(b"", shards.Shards(tmp_path / "resized"), test, LABELS, CALIBRATION)
    assert (found["photos"], found["clean_accuracy"]) == (20, 1)
    first = np.random.default_rng(0).permutation(20)
    order = sample(test, 20).index // 3
    for turn, name in enumerate(CORRUPTIONS):
        right = []
        for i, photo in enumerate(order):
            views, at = pictures[3 * photo :][:3], 1 + (first[i] + turn) % 5
            seen = [corrupt(picture, name, at, i) for picture in views]
            mean = np.log(np.stack([said(picture) for picture in seen])).mean(axis=0)
            right.append(mean.argmax() == light[photo])
        accuracies = {row["corruption"]: row["accuracy"] for row in found["corruptions"]}
        assert accuracies[name] == np.mean(right), name


def test_a_sample_has_all_species(test_split, monkeypatch):
    monkeypatch.setattr(robustness, "Network", Light)
    monkeypatch.setattr(robustness, "PHOTOS", 3)
    found = robustness.measure(b"", *test_split, LABELS, CALIBRATION)
    assert found["photos"] == 3
    assert found["calibration_error"] is None or found["calibration_error"] >= 0
    assert len(found["strengths"]) == 5
