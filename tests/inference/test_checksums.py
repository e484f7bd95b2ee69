import shutil
import subprocess

import pytest

from pipeline.inference import checksums


@pytest.fixture
def folder(tmp_path):
    """A folder with hashes with a file in a folder."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code/serving.py").write_text("answer = 42\n")
    (tmp_path / "model.tflite").write_bytes(bytes(100))
    checksums.write_checksums(tmp_path)
    return tmp_path


def test_a_folder_as_it_was_written_is_accepted_and_so_is_a_copy(folder, tmp_path_factory):
    checksums.verify(folder, checksums.sha256(folder / checksums.SUMS))
    checksums.verify(shutil.copytree(folder, tmp_path_factory.mktemp("elsewhere") / "copy"))


def test_what_mlflow_and_python_leave_behind_is_no_matter(folder):
    (folder / "registered_model_meta").write_text("model_version: 3")
    (folder / "code/__pycache__").mkdir()
    (folder / "code/__pycache__/serving.pyc").touch()
    checksums.verify(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: (f / "model.tflite").write_bytes(bytes(99)), r"model\.tflite was altered"),
        (lambda f: (f / "model.tflite").unlink(), r"model\.tflite is missing"),
        (lambda f: (f / "code/json.py").touch(), r"code/json\.py was added later"),
        (lambda f: (f / "SHA256SUMS").unlink(), "has no SHA256SUMS any more"),
    ],
)
def test_another_file_a_missing_one_and_one_more_are_refused(folder, change, reason):
    change(folder)
    with pytest.raises(checksums.ChecksumMismatch, match=reason):
        checksums.verify(folder)


def test_new_hashes_for_an_altered_file_are_noticed_by_who_kept_the_old_ones(folder):
    registered = checksums.sha256(folder / checksums.SUMS)
    (folder / "model.tflite").write_bytes(bytes(99))
    checksums.write_checksums(folder)
    with pytest.raises(checksums.ChecksumMismatch, match="not the list of hashes"):
        checksums.verify(folder, registered)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum here")
def test_sha256sum_reads_the_list(folder):
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert done.returncode == 0
