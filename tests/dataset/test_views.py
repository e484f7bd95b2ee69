import json

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset import views


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
    files = views.files(manifest(sources, sources), crop, 0.25)
    if expected is None:
        assert files == {}
        return
    find, several = expected
    written = {"margin": 0.25, "find": find, "views": several}
    assert {name: json.loads(data) for name, data in files.items()} == {"finding.json": written}


def test_the_views_of_a_photo_are_found_in_an_index():
    index = pd.DataFrame({"photo": [*"aaabccdd"], "view": [0, 1, 2, 0, 0, 1, 0, 1]})
    counts = views.counts(index)
    assert counts.tolist() == [3, 0, 0, 1, 2, 0, 2, 0]
    assert views.pictures(counts, np.array([4, 0, 3])).tolist() == [4, 5, 0, 1, 2, 3]
    assert views.counts(index[["photo"]]).tolist() == [1] * 8
