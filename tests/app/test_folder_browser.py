import pytest

from pipeline.app import folder_browser
from pipeline.core.errors import UserError


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "home"
    for name in ("b/deep", "A", ".ssh", "b/.hidden"):
        (root / name).mkdir(parents=True)
    for name in ("b/photos.zip", "b/a.csv", "b/a.jsonl", "b/1.jpg", "b/2.jpg", "b/.x.csv"):
        (root / name).touch()
    (tmp_path / "secret").mkdir()
    (root / "b" / "out").symlink_to(tmp_path / "secret")
    (root / "round").symlink_to(root / "round")
    return root


def test_folders_and_what_may_be_a_collection_are_listed(root):
    assert folder_browser.listed(root, "")["folders"] == ["A", "b"]
    listed = folder_browser.listed(root, "b")
    assert (listed["path"], listed["folders"]) == ("b", ["deep"])
    assert (listed["files"], listed["others"]) == (["a.csv", "a.jsonl", "photos.zip"], 2)


@pytest.mark.parametrize(
    "path", ["..", "../secret", "b/out", "b/../..", "/etc", "nowhere", "a\0b", "x" * 5000, "round"]
)
def test_nothing_outside_is_shown_or_used(root, path):
    for function in (folder_browser.find, folder_browser.listed):
        with pytest.raises(UserError, match="no such folder"):
            function(root, path)


def test_a_file_is_no_folder(root):
    with pytest.raises(UserError, match="cannot be read"):
        folder_browser.listed(root, "b/1.jpg")
    assert folder_browser.find(root, "b/photos.zip").name == "photos.zip"
