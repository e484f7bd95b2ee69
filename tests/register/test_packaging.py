"""What makes a recogniser another one for the registry."""

import pandas as pd
import pytest

from pipeline.inference.calibration import Calibration
from pipeline.inference.crops import SubjectCrop
from pipeline.inference.pooling import Pooling
from pipeline.inference.taxonomy import Taxonomy
from pipeline.register.packaging import Challenger

CALIBRATION = Calibration(temperature=1.0, unknown_below=0.5, set_from=0.1)
FILES = {
    "model.tflite": (b"a network", b"another"),
    "labels.json": (b"{}", b'{"labels": []}'),
    "novelty.npz": (b"1", b"2"),
    "finding.json": tuple(SubjectCrop(m, detector="boxes.tflite").written() for m in (0.1, 0.2)),
    "boxes.tflite": (b"3", b"4"),
    "pooling.json": tuple(Pooling(m, CALIBRATION).written() for m in ("geometric", "arithmetic")),
    "taxonomy.json": tuple(
        Taxonomy({"family": [f]}, 0.9).written() for f in ("Canidae", "Felidae")
    ),
}


@pytest.fixture
def challenger(tmp_path):
    for name, (content, _) in FILES.items():
        (tmp_path / name).write_bytes(content)
    none = pd.DataFrame()
    return Challenger(tmp_path, {}, none, none, none, none, tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_whatever_decides_answers_makes_another_recogniser(challenger, name):
    """Or the gate would say of a corrected table of families that it serves already."""
    before = challenger.content
    (challenger.folder / name).write_bytes(FILES[name][1])
    altered = challenger.content
    assert altered != before
    (challenger.folder / name).write_bytes(FILES[name][0])
    assert challenger.content == before


def test_what_decides_no_answer_makes_no_other_recogniser(challenger):
    before = challenger.content
    (challenger.folder / "model.keras").write_bytes(b"of which model.tflite was made")
    assert challenger.content == before
