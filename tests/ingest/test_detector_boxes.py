import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import UserError
from pipeline.ingest import detector_boxes

FIELDS = ["x", "y", "width", "height", "score"]


def manifest(number, location="here"):
    """Frames of one camera, in an order of their own."""
    table = pd.DataFrame({"path": [f"{i:03d}.jpg" for i in range(number)]})
    table["event"], table["location"] = "one", location
    table["taken_at"] = [f"2024-05-01T10:{i // 60:02d}:{i % 60:02d}" for i in range(number)]
    return table.astype({"location": "str"}).sample(frac=1, random_state=1)


class Network:
    """Boxes a stone in every frame, and an animal that walks by."""

    def boxes(self, data, max_pixels):
        number = int(data)
        return np.array([[0.8, 0.8, 0.1, 0.1, 0.5], [0.05 * number, 0.2, 0.04, 0.1, 0.4]])


@pytest.mark.parametrize("at_a_time", [2, 3])
def test_what_a_network_boxes_is_a_row_but_for_a_stone(tmp_path, monkeypatch, at_a_time):
    monkeypatch.setattr(detector_boxes, "load", lambda path: Network())
    monkeypatch.setattr(detector_boxes, "_AT_A_TIME", at_a_time)
    frames = manifest(10)
    for path in frames["path"]:
        (tmp_path / path).write_bytes(path[:3].encode())
    found = detector_boxes.find(tmp_path, frames, tmp_path, 10**6, 1)
    assert found.index.tolist() == frames.index.tolist()
    assert found["x"].to_numpy() == pytest.approx(0.05 * frames.index.to_numpy())
    assert (found["score"] == 0.4).all()


def of_frames(frames, score, place=(0.5, 0.5, 0.2, 0.2)):
    return pd.DataFrame([[*place, score]] * len(frames), frames, FIELDS)


@pytest.mark.parametrize(
    ("frames", "score", "is_stone"),
    [
        (range(3), 0.5, True),  # 2 of 19 other frames have one there too
        (range(2), 0.5, False),
        (range(10), 0.7, False),  # 9 of 19
        (range(11), 0.7, True),
    ],
)
def test_a_box_that_returns_at_one_spot_is_a_stone(frames, score, is_stone):
    boxes = of_frames(frames, score)
    assert detector_boxes.returning(boxes, manifest(20)).tolist() == [is_stone] * len(frames)


def test_a_spot_is_of_one_camera_and_of_one_stretch_of_time(monkeypatch):
    boxes = of_frames(range(6), 0.5)
    frames = manifest(6).sort_index()
    assert detector_boxes.returning(boxes, frames).all()
    for column in ("location", "event"):
        apart = frames.assign(location=None).astype({"location": "str"})
        apart[column] = list("aabbcc")
        assert not detector_boxes.returning(boxes, apart).any(), column
    monkeypatch.setattr(detector_boxes, "_STRETCH", 2)
    assert not detector_boxes.returning(boxes, frames).any()


def test_boxes_at_other_places_do_not_return():
    boxes = pd.concat(
        [of_frames([i], 0.5, (0.5 + 0.08 * i, 0.5, 0.2, 0.2)) for i in range(5)]  # IoU 0.43
    )
    assert not detector_boxes.returning(boxes, manifest(5)).any()
    assert not len(detector_boxes.returning(boxes[:0], manifest(5)))


def test_a_detector_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"there is no detector .*data/detectors/README.md"):
        detector_boxes.load(tmp_path / "network.onnx")


def test_a_file_that_is_none_is_an_error_that_names_the_line_of_params(tmp_path):
    (tmp_path / "network.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"ingest.detector .*network.onnx cannot be read: "):
        detector_boxes.load(tmp_path / "network.onnx")
