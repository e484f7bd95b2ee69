import hashlib
import io
import tarfile

import pytest

from pipeline.app import web_runtime
from pipeline.app.web_runtime import PACKAGES, Package
from pipeline.core.errors import UserError


@pytest.fixture
def archive(tmp_path):
    """As npm packs it, with one file too many."""
    files = {"dist/index.js": b'import { a } from "@litertjs/wasm-utils";', "evil.js": b"x"}
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return tmp_path / "x.tgz"


def test_the_files_that_are_named_are_taken_and_no_others(archive, tmp_path):
    sha512 = hashlib.sha512(archive.read_bytes()).hexdigest()
    package = Package("x", sha512, {"dist/index.js": "wasm/index.js"})
    web_runtime.extract(package, archive, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").rglob("*.*")] == ["index.js"]
    written = (tmp_path / "out/wasm/index.js").read_text()
    assert written == 'import { a } from "./wasm-utils.js";'


def test_another_archive_than_the_one_that_was_tried_is_refused(archive, tmp_path):
    for package in PACKAGES:
        assert len(package.sha512) == 128
        with pytest.raises(UserError, match="another sha512"):
            web_runtime.extract(package, archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setattr(web_runtime.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="npm is needed"):
        web_runtime.require(tmp_path / "runtime")
    assert not (tmp_path / "runtime").exists()
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "index.js").touch()
    assert web_runtime.require(tmp_path / "runtime") == tmp_path / "runtime"
