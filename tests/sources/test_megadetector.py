import json

import pytest
from listed import list_files

RESULTS = {
    "info": {"format_version": "1.3"},
    "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
    "images": [
        {"file": "cat/1.jpg", "detections": [
            {"category": "1", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]},
            {"category": "1", "conf": 0.2, "bbox": [0.5, 0.5, 0.1, 0.1]},
            {"category": "1", "conf": 0.19, "bbox": [0, 0, 1, 1]},
            {"category": "2", "conf": 0.9, "bbox": [0, 0, 1, 1]},
        ]},
        {"file": "/data/set/dog/2.jpg", "detections": []},
        {"file": "broken.jpg", "failure": "image access", "detections": None},
    ],
}  # fmt: skip
PLAIN = [
    {"file": "cat/1.jpg", "detections": [
        {"category": "animal", "confidence": 0.9, "bbox": [10, 20, 40, 60]},
        {"category": "person", "confidence": 0.9, "bbox": [0, 0, 9, 9]},
    ]},
    {"file": "dog/2.jpg", "detections": []},
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    for name in ("cat/1.jpg", "dog/2.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def boxes(folder, document):
    (folder / "results.json").write_text(json.dumps(document))
    found = list_files(folder)
    assert found["species"].tolist() == ["cat", "dog"]
    assert found["reason"].isna().all()
    return found.set_index("path")["boxes"].dropna().to_dict()


def test_boxes_of_animals_that_it_is_sure_of(folder):
    expected = {"cat/1.jpg": ((0.1, 0.2, 0.3, 0.4), (0.5, 0.5, 0.1, 0.1))}
    assert boxes(folder, RESULTS) == expected


def test_threshold_of_the_results(folder):
    info = {"detector_metadata": {"typical_detection_threshold": 0.8}}
    expected = {"cat/1.jpg": ((0.1, 0.2, 0.3, 0.4),)}
    assert boxes(folder, RESULTS | {"info": info}) == expected


def test_the_plain_list_has_corners_in_pixels(folder):
    assert boxes(folder, PLAIN) == {"cat/1.jpg": ((10.0, 20.0, 30.0, 40.0),)}


def test_boxes_of_the_metadata_go_before(folder):
    (folder / "metadata.csv").write_text(
        'file_name,label,bbox\ncat/1.jpg,cat,"[0.1, 0.1, 0.2, 0.2]"\ndog/2.jpg,dog,\n'
    )
    assert boxes(folder, RESULTS) == {"cat/1.jpg": ((0.1, 0.1, 0.2, 0.2),)}
