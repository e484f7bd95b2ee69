"""What makes caches of decoded photos start anew."""

import ast
import importlib.metadata
from pathlib import Path

import pytest

from pipeline.dataset import decoder_digest
from pipeline.inference import decoding


def test_all_of_the_project_that_decoding_imports_counts():
    counted, todo = {Path(m.__file__).stem for m in decoder_digest._MODULES}, ["decoding"]
    while todo:
        name = todo.pop()
        assert name in counted, f"inference/{name}.py may change pixels, and caches go on"
        tree = ast.parse(Path(decoding.__file__).with_name(f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "pipeline.inference":
                todo += [alias.name for alias in node.names]


@pytest.mark.parametrize("library", ["pillow", "numpy", "pillow-heif"])
def test_another_version_of_a_library_counts_and_so_does_its_absence(library, monkeypatch):
    def version(name):
        if name != library:
            return "1.0"
        if installed is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(importlib.metadata, "version", version)
    digests = set()
    for installed in ("1.0", "1.1", None):  # noqa: B007 `version` reads it
        digests.add(decoder_digest.digest())
    assert len(digests) == 3


def test_more_files_count(tmp_path):
    file = tmp_path / "more.py"
    digests = {decoder_digest.digest()}
    for code in ("a = 1", "a = 2"):
        file.write_text(code)
        digests.add(decoder_digest.digest([str(file)]))
    assert len(digests) == 3
