import pytest

from pipeline.app.folder_browser import FolderBrowser
from pipeline.core.errors import UserError


@pytest.fixture
def browser(tmp_path):
    root = tmp_path / "home"
    for name in ("b/deep", "A", ".ssh", "b/.hidden"):
        (root / name).mkdir(parents=True)
    for name in ("b/photos.zip", "b/a.csv", "b/a.jsonl", "b/1.jpg", "b/2.jpg", "b/.x.csv"):
        (root / name).touch()
    (tmp_path / "secret").mkdir()
    (root / "b" / "out").symlink_to(tmp_path / "secret")
    (root / "round").symlink_to(root / "round")
    return FolderBrowser(root)


def test_folders_and_what_may_be_a_collection_are_listed(browser):
    assert browser.list("")["folders"] == ["A", "b"]
    listed = browser.list("b")
    assert (listed["path"], listed["folders"]) == ("b", ["deep"])
    assert (listed["files"], listed["others"]) == (["a.csv", "a.jsonl", "photos.zip"], 2)


@pytest.mark.parametrize(
    "path", ["..", "../secret", "b/out", "b/../..", "/etc", "nowhere", "a\0b", "x" * 5000, "round"]
)
def test_nothing_outside_is_shown_or_used(browser, path):
    for method in (browser.find, browser.list):
        with pytest.raises(UserError, match="no such folder"):
            method(path)


def test_a_file_is_no_folder(browser):
    with pytest.raises(UserError, match="cannot be read"):
        browser.list("b/1.jpg")
    assert browser.find("b/photos.zip").name == "photos.zip"
