import pytest

from pipeline.core.errors import UserError
from pipeline.ingest import detector


def test_a_detector_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"there is no detector .*data/detectors/README.md"):
        detector.load(tmp_path / "network.onnx")


def test_a_file_that_is_none_is_an_error_that_names_the_line_of_params(tmp_path):
    (tmp_path / "network.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"ingest.detector .*network.onnx cannot be read: "):
        detector.load(tmp_path / "network.onnx")
