import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.inference import decoding
from pipeline.inference.crops import SubjectCrop, squares
from pipeline.resize import crops as resize


def test_a_square_has_its_margin_and_stays_in_the_photo():
    boxes = np.array([[0.4, 0.3, 0.1, 0.4], [0.9, 0.9, 0.1, 0.1], [0.2, 0.1, 0.6, 0.8]])
    sides = np.array([[400.0, 200.0], [400.0, 200.0], [100.0, 300.0]])
    found = squares(boxes, sides, 0.25).tolist()
    # 40 x 80 px: 120 px a side; 40 x 20 px in the corner: 60; 60 x 240 px: 360, and 100 wide.
    assert found == [[0.3, 0.2, 0.3, 0.6], [0.85, 0.7, 0.15, 0.3], [0.0, 0.0, 1.0, 1.0]]
    assert squares(boxes[1:2], sides[1:2], 0.0, 0.5).tolist() == [[0.5, 0.0, 0.5, 1.0]]


def photo(left, orientation=1):
    """A 352 x 240 px scene with a block of 60 x 40 px, perhaps to be turned upright."""
    rng = np.random.default_rng(0)
    frame = np.repeat(rng.integers(60, 120, (240, 352, 1)), 3, axis=2).astype(np.uint8)
    frame[100:140, left : left + 60] = 0, 250, 0
    picture = Image.fromarray(frame)
    exif = Image.Exif()
    if orientation == 6:  # shown turned by 90 degrees
        picture, exif[0x0112] = picture.rotate(90, expand=True), 6
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
def test_what_moves_in_a_burst_is_cut_out_of_each_frame(orientation, tmp_path):
    (tmp_path / "finding.json").write_bytes(SubjectCrop(0.1).written())
    crop = SubjectCrop.load(tmp_path)
    frames = [photo(20 + 70 * n, orientation) for n in range(4)]
    views = crop.in_burst([frames[0], b"no picture", *frames[1:]])
    assert views.pop(1) == [None]
    for data, (part,) in zip(frames, views, strict=True):
        seen = decoding.square(decoding.cut(data, part), 60)
        assert (np.abs(seen[20:40, 15:45].astype(int) - [0, 250, 0]) < 40).all()
        assert (seen[:3].astype(int).max(axis=(0, 2)) < 140).all(), "the scene around it"
    assert crop.in_burst(frames[:2]) == [[None], [None]]


def test_views_are_those_that_the_network_learned_from(tmp_path):
    """By the code that cuts pictures to train on."""
    (tmp_path / "finding.json").write_bytes(SubjectCrop(0.1, views=True).written())
    crop = SubjectCrop.load(tmp_path)
    box = [0.5, 0.25, 0.125, 0.5]
    row = {"photo": "a", "path": "a", "species": "cat", "width": 640, "height": 480}
    row |= {"box": None, "detections": f"[{box}]", "detection_sources": '["motion"]'}
    rows = resize.pictures(pd.DataFrame([row]), "views", 0.1)
    expected = rows["box"].map(json.loads, na_action="ignore").tolist()
    assert crop.around(box, (640, 480)) == [None, *expected[1:]]
    frames = [photo(20 + 70 * n) for n in range(4)]
    single = SubjectCrop(0.1).in_burst(frames)
    several = crop.in_burst(frames)
    assert [len(views) for views in several] == [3] * 4
    assert [[views[1]] for views in several] == single
    assert SubjectCrop(0.1, "boxes", views=True).in_burst(frames) == [[None]] * 4


def test_a_file_of_before_there_were_views_cuts_out(tmp_path):
    (tmp_path / "finding.json").write_text('{"margin": 0.0, "find": "boxes"}')
    assert SubjectCrop.load(tmp_path).around([0.5, 0.5, 0.1, 0.1], (50, 50)) == [
        [0.5, 0.5, 0.1, 0.1]
    ]


def test_a_recogniser_of_whole_photos_cuts_nothing(tmp_path):
    assert SubjectCrop.load(tmp_path) is None
