import json
from dataclasses import dataclass

import pandas as pd
import pytest

from pipeline.ingest import detections

FIELDS = ["x", "y", "width", "height", "score"]


def table(*rows):
    """Rows of photo, x, y, width, height and score."""
    photos = [photo for photo, *_ in rows]
    return pd.DataFrame([row[1:] for row in rows], photos, FIELDS, dtype="float64")


def lists(columns):
    """The columns' cells as Python lists, by photo; None where there is nothing."""
    return {
        name: [None if pd.isna(cell) else json.loads(cell) for cell in column]
        for name, column in columns.items()
    }


def test_the_best_boxes_of_each_photo_are_written_with_their_sources():
    motion = table((7, 0, 0, 0.5, 0.5, 0.4), (7, 0.6, 0.6, 0.1, 0.1, 0.3), (3, 0, 0, 1, 1, 0.2))
    # The first lies in that of photo 7 that moves: one animal, and the better box stays.
    given = table((7, 0, 0, 0.5, 0.4, 1), (3, 0.5, 0, 0.5, 0.1, 1))
    columns = detections.columns({"boxes": given, "motion": motion}, pd.Index([3, 5, 7]))
    assert columns.index.tolist() == [3, 5, 7]
    assert lists(columns) == {
        "detections": [
            [[0.5, 0, 0.5, 0.1], [0, 0, 1, 1]],
            None,
            [[0, 0, 0.5, 0.4], [0.6, 0.6, 0.1, 0.1]],
        ],
        "detection_sources": [["boxes", "motion"], None, ["boxes", "motion"]],
        "detection_scores": [[1, 0.2], None, [1, 0.3]],
    }


def test_boxes_of_one_source_may_overlap_and_three_are_kept():
    rows = [(0, 0, 0, 0.5, 0.5, score) for score in (0.1, 0.4, 0.2, 0.3)]
    columns = lists(detections.columns({"motion": table(*rows)}, pd.Index([0])))
    assert columns["detection_scores"] == [[0.4, 0.3, 0.2]]


def test_without_a_source_or_a_box_the_columns_are_null():
    for boxes in ({}, {"motion": table()}):
        columns = detections.columns(boxes, pd.RangeIndex(2))
        assert list(columns) == list(detections.COLUMNS)
        assert columns.isna().all(axis=None) and len(columns) == 2
        assert (columns.dtypes == "str").all()


def test_two_sources_that_agree_are_surer_than_either():
    """Both are wrong with a probability of 0.6 * 0.7; the boxes overlap by 0.11 and by 0.09."""
    motion = table((0, 0, 0, 0.4, 0.5, 0.4), (1, 0, 0, 0.4, 0.5, 0.4))
    network = table((0, 0.32, 0, 0.4, 0.5, 0.3), (1, 0.334, 0, 0.4, 0.5, 0.3))
    columns = detections.columns({"motion": motion, "detector": network}, pd.RangeIndex(2))
    assert lists(columns)["detection_scores"] == [[0.58], [0.4, 0.3]]
    assert lists(columns)["detection_sources"] == [["motion"], ["motion", "detector"]]


def test_the_best_box_of_a_photo_needs_a_lower_score_than_the_others():
    rows = [(0, x, 0, 0.1, 0.1, score) for x, score in ((0, 0.3), (0.3, 0.45), (0.6, 0.55))]
    rows += [(1, 0, 0, 1, 1, 0.3), (1, 0, 0, 1, 1, 0.3), (2, 0, 0, 1, 1, 0.2)]
    columns = detections.columns({"detector": table(*rows)}, pd.RangeIndex(3), (0.25, 0.4))
    assert lists(columns)["detection_scores"] == [[0.55, 0.45], [0.3], None]


@dataclass
class Settings:
    find: list
    detector: str = "data/detectors/none.onnx"
    max_pixels: int = 10**7


@pytest.mark.parametrize(
    ("sources", "first"),
    [(["auto"], [None] * 2), (["none"], [None] * 2), (["boxes"], [[0.1, 0.2, 0.3, 0.4], None])],
)
def test_sources_are_those_of_the_params(tmp_path, sources, first):
    """The photos are no burst, so nothing can move, and no file is read."""
    manifest = pd.DataFrame({"path": ["a", "b"], "event": ["a", "b"], "taken_at": [None] * 2})
    manifest["box"] = ["[[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]]", None]
    found = lists(detections.find(tmp_path, manifest, Settings(sources), 1))
    assert [boxes and boxes[0] for boxes in found["detections"]] == first


def test_a_detector_finds_what_motion_cannot(tmp_path, monkeypatch):
    monkeypatch.setattr(
        detections.detector_boxes,
        "find",
        lambda root, manifest, weights, *_: table((1, 0, 0, 0.5, 1 / 3, 0.9)),
    )
    manifest = pd.DataFrame({"path": ["a", "b"], "event": ["a", "b"], "taken_at": [None] * 2})
    found = lists(detections.find(tmp_path, manifest, Settings(["motion", "detector"]), 1))
    assert found["detections"] == [None, [[0, 0, 0.5, 0.333333]]]
    assert found["detection_sources"] == [None, ["detector"]]
