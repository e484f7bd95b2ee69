import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.ingest import motion_boxes


@pytest.fixture
def root(tmp_path):
    """Two bursts of a textured scene, in colour: a block walks through the first."""
    scene = np.random.default_rng(0).integers(60, 120, (240, 352, 3)).astype(np.uint8)
    for number in range(5):
        frame = scene.copy()
        frame[100:140, 30 + 60 * number : 90 + 60 * number] = 200
        Image.fromarray(frame).resize((704, 480)).save(tmp_path / f"a{number}.jpg")
        Image.fromarray(scene).save(tmp_path / f"b{number}.jpg")
    return tmp_path


def manifest():
    """In an order of its own; the last two photos of the first burst are another event."""
    rows = [(f"{name}{n}.jpg", f"{name}{n // 3 if name == 'a' else 0}") for n in range(5)
            for name in "ab"]  # fmt: skip
    table = pd.DataFrame(rows, columns=["path", "event"])
    table["taken_at"] = [f"2024-05-01T10:00:{i:02d}" for i in range(10)]
    return table.sample(frac=1, random_state=3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_moves_is_found_in_events_of_three_frames(root, jobs):
    table = manifest()
    found = motion_boxes.find(root, table, 10**7, jobs)
    first = found[~found.index.duplicated()]
    by_path = first.set_axis(table["path"][first.index])
    assert set(by_path.index) == {"a0.jpg", "a1.jpg", "a2.jpg"}
    for number in range(3):
        x, y, width, height, _ = by_path.loc[f"a{number}.jpg"]
        assert x == pytest.approx((30 + 60 * number) / 352, abs=0.03)
        assert (y, width, height) == pytest.approx((100 / 240, 60 / 352, 40 / 240), abs=0.05)


def test_without_events_nothing_is_read(tmp_path):
    table = manifest().assign(event=list("abcdefghij"))
    assert motion_boxes.find(tmp_path, table, 10**7, 1).empty


def test_a_long_event_is_compared_stretch_by_stretch(root, monkeypatch):
    monkeypatch.setattr(motion_boxes, "BURST", 3)
    table = manifest().assign(event="one")
    table = table[table["path"].str.startswith("a")].sort_values("path")
    found = motion_boxes.find(root, table, 10**7, 1)
    assert table.index.isin(found.index).tolist() == [True] * 3 + [False] * 2, (
        "two frames are left at the end"
    )
