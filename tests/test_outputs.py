import numpy as np
import pandas as pd
import pytest

from pipeline import outputs


def write(path, kind, text):
    if kind == "file":
        path.write_text(text)
    else:
        path.mkdir()
        (path / "inner.txt").write_text(text)


def read(path):
    return (path / "inner.txt" if path.is_dir() else path).read_text()


def beside(path):
    return [entry.name for entry in path.parent.iterdir()]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_output_appears_when_the_block_ends(tmp_path, kind):
    path = tmp_path / "made" / "too" / "output"
    with outputs.whole(path) as partial:
        assert not partial.exists()
        write(partial, kind, "new")
        assert not path.exists()
    assert read(path) == "new"
    assert beside(path) == ["output"]


@pytest.mark.parametrize("old", ["file", "folder", None])
@pytest.mark.parametrize("new", ["file", "folder"])
def test_failing_block_leaves_what_was_there(tmp_path, old, new):
    path = tmp_path / "output"
    if old:
        write(path, old, "old")
    with pytest.raises(RuntimeError), outputs.whole(path) as partial:
        write(partial, new, "new")
        raise RuntimeError
    if old:
        assert read(path) == "old"
        assert beside(path) == ["output"]
    else:
        assert beside(path) == []


@pytest.mark.parametrize("old", ["file", "folder"])
@pytest.mark.parametrize("new", ["file", "folder"])
def test_new_output_replaces_the_old_one(tmp_path, old, new):
    if (old, new) == ("file", "folder"):
        pytest.skip("no output changes from a file into a folder")
    path = tmp_path / "output"
    write(path, old, "old")
    if old == "folder":
        (path / "left.txt").write_text("left over")
    with outputs.whole(path) as partial:
        write(partial, new, "new")
    assert read(path) == "new"
    assert not (path / "left.txt").exists()
    assert beside(path) == ["output"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_run_left_is_no_hindrance(tmp_path, kind):
    path = tmp_path / "output"
    with outputs.whole(path) as partial:
        write(partial, "file", "1")
    write(partial, kind, "of a killed run")
    with outputs.whole(path) as partial:
        assert not partial.exists()
        write(partial, "folder", "2")
        assert beside(path).count("output") == 1
        path.unlink()  # a file in the way of a folder
    assert read(path) == "2"


def test_block_that_writes_nothing_fails(tmp_path):
    path = tmp_path / "output"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), outputs.whole(path):
        pass
    assert path.read_text() == "old"


def test_block_that_writes_nothing_keeps_the_old_folder(tmp_path):
    path = tmp_path / "output"
    write(path, "folder", "old")
    with pytest.raises(FileNotFoundError), outputs.whole(path):
        pass
    assert read(path) == "old"


def test_tables_are_the_same_bytes_for_the_same_rows(tmp_path):
    table = {"name": ["a", None], "count": np.array([1, 2**63], dtype=np.uint64)}
    frames = [
        pd.DataFrame(table),
        pd.DataFrame(table, index=[7, 3]),
        pd.DataFrame(table | {"more": 1}).drop(columns="more"),
    ]
    written = []
    for i, frame in enumerate(frames):
        frame.attrs["said"] = i
        outputs.write_table(frame, tmp_path / str(i))
        written.append((tmp_path / str(i)).read_bytes())
    assert len(set(written)) == 1
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "0"), frames[0], check_dtype=True, check_like=False
    )


def test_clear_removes_files_and_folders_and_minds_no_absence(tmp_path):
    write(tmp_path / "file", "file", "x")
    write(tmp_path / "folder", "folder", "x")
    outputs.clear(tmp_path / "file", tmp_path / "folder", tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_clear_removes_a_link_and_not_what_it_leads_to(tmp_path):
    write(tmp_path / "elsewhere", "folder", "kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    outputs.clear(tmp_path / "link")
    assert not (tmp_path / "link").exists()
    assert read(tmp_path / "elsewhere") == "kept"
