import itertools

import numpy as np
import pandas as pd

from pipeline.dataset import events


def numbered(rows, gap=60):
    table = pd.DataFrame(rows, columns=["camera", "taken_at"], dtype="str")
    return events.number(table["camera"], table["taken_at"], gap)


def test_photos_follow_each_other_within_the_gap_whatever_their_order():
    rows = [
        ("b", "2024-05-01T10:00:00"),
        ("a", "2024-05-01T10:02:01"),  # 61 s after the photo before it
        ("a", "2024-05-01T10:00:00"),
        ("a", "2024-05-01T10:01:00"),  # 60 s
        ("b", "2024-05-01T10:00:30"),
    ]
    assert numbered(rows).tolist() == [2, 1, 0, 0, 2]
    assert numbered(rows, gap=61).tolist() == [1, 0, 0, 0, 1]
    assert numbered(rows, gap=0).nunique() == 5


def test_without_a_camera_or_a_time_of_day_there_is_no_event():
    rows = [
        (None, "2024-05-01T10:00:00"),
        ("a", None),
        ("a", "no time"),
        *[("a", "2024-05-01T00:00:00")] * 2,  # a date alone would make an event of a day
        ("a", "2024-05-01T00:00:01"),
    ]
    assert numbered(rows).isna().tolist() == [True] * 5 + [False]


def test_events_are_the_chains_of_a_slow_search():
    rng = np.random.default_rng(3)
    seconds = rng.integers(0, 4000, 90)
    cameras = rng.choice(list("xyz"), 90)
    rows = [
        (camera, f"2024-05-01T01:{second // 60:02d}:{second % 60:02d}")
        for camera, second in zip(cameras, seconds % 3600, strict=True)
    ]
    found = numbered(rows, gap=25)
    chain = list(range(90))
    for i, j in itertools.combinations(range(90), 2):
        if cameras[i] == cameras[j] and abs(int(seconds[i] % 3600) - int(seconds[j] % 3600)) <= 25:
            chain = [chain[i] if mark == chain[j] else mark for mark in chain]
    pairs = set(zip(found, chain, strict=True))
    assert len(pairs) == found.nunique() == len(set(chain)) > 20
