import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from pipeline.core import atomic
from pipeline.core.errors import UserError


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
    with atomic.atomic_write(path) as partial:
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
    with pytest.raises(RuntimeError), atomic.atomic_write(path) as partial:
        write(partial, new, "new")
        raise RuntimeError
    if old:
        assert read(path) == "old"
        assert beside(path) == ["output"]
    else:
        assert beside(path) == []


def left_behind(path, kind, host=None, process=None, hours=0):
    """What a process was writing when it was killed."""
    host, process = host or atomic._HOST, process or ended_process()
    partial = path.with_name(f".{path.name}.{host}-{process}-7.partial")
    write(partial, kind, "half")
    for one in (partial, *partial.glob("*")):
        os.utime(one, (time.time(), time.time() - hours * 3600))
    return partial


def ended_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_half_an_output_of_a_process_that_runs_stays_and_that_of_one_that_ended_goes(
    tmp_path, kind
):
    path = tmp_path / "output"
    stays = [
        left_behind(path, kind, process=os.getppid()),
        left_behind(path, kind, host="another_machine", hours=23),
    ]
    goes = [
        left_behind(path, kind),
        left_behind(tmp_path / "another [output]", kind),
        left_behind(path, kind, host="a_third", hours=25),
    ]
    foreign = tmp_path / ".mine.partial"
    foreign.write_text("a person's")
    with atomic.atomic_write(path) as partial:
        write(partial, kind, "new")
        assert all(one.exists() for one in (*stays, foreign))
        assert not any(one.exists() for one in goes)
    assert read(path) == "new"
    assert set(tmp_path.iterdir()) == {path, foreign, *stays}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_two_that_write_the_same_output_at_once_both_end_and_the_last_one_stays(tmp_path, kind):
    path = tmp_path / "output"
    with atomic.atomic_write(path) as first:
        write(first, kind, "first")
        with atomic.atomic_write(path) as second:
            assert first != second, "both write to the same half"
            write(second, kind, "second")
        assert read(path) == "second"
    assert read(path) == "first"
    assert beside(path) == ["output"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_new_output_replaces_the_old_one(tmp_path, kind):
    path = tmp_path / "output"
    write(path, kind, "old")
    if kind == "folder":
        (path / "left.txt").write_text("left over")
    with atomic.atomic_write(path) as partial:
        write(partial, kind, "new")
    assert read(path) == "new"
    assert not (path / "left.txt").exists()
    assert beside(path) == ["output"]


@pytest.mark.parametrize(("old", "new"), [("file", "folder"), ("folder", "file")])
def test_output_of_another_kind_is_not_replaced(tmp_path, old, new):
    path = tmp_path / "output"
    write(path, old, "old")
    with (
        pytest.raises(UserError, match=f"is a {old}, and a {new}"),
        atomic.atomic_write(path) as partial,
    ):
        write(partial, new, "new")
    assert read(path) == "old"
    assert beside(path) == ["output"]


def test_folder_with_what_the_project_does_not_write_is_not_replaced(tmp_path):
    path = tmp_path / "resized"
    write(path, "folder", "old")
    (path / ".DS_Store").touch()
    with atomic.atomic_write(path, ["inner.*"]) as partial:
        write(partial, "folder", "new")
    (path / "holiday.jpg").write_text("a photo")
    with (
        pytest.raises(UserError, match=r"resized holds holiday\.jpg"),
        atomic.atomic_write(path, ["inner.*"]) as partial,
    ):
        write(partial, "folder", "newer")
    assert (read(path), (path / "holiday.jpg").read_text()) == ("new", "a photo")


def test_own_folder_is_replaced_until_somebody_changes_it(tmp_path):
    path = tmp_path / "export"
    for text in ("1", "2"):
        with atomic.own_folder(path) as partial:
            write(partial, "folder", text)
        assert read(path) == text
    for change in ("inner.txt", "added.txt"):
        before = (path / change).read_text() if (path / change).exists() else None
        (path / change).write_text("by hand")
        with pytest.raises(UserError, match=f"for {change} in it"), atomic.own_folder(path):
            raise AssertionError("the work began")
        assert (path / change).read_text() == "by hand"
        (path / change).write_text(before) if before else (path / change).unlink()
    atomic.require_own(path)


def test_sums_of_other_programs_are_no_marker(tmp_path):
    with atomic.own_folder(tmp_path / "export") as partial:
        write(partial, "folder", "new")
    (tmp_path / "export" / atomic.MARKER).rename(tmp_path / "export" / "SHA256SUMS")
    with pytest.raises(UserError, match="not written by this command"):
        atomic.require_own(tmp_path / "export")


def test_what_appears_while_a_file_is_written_stays(tmp_path):
    path = tmp_path / "predictions.csv"
    with (
        pytest.raises(UserError, match="exists and is not replaced"),
        atomic.new_file(path) as partial,
    ):
        partial.write_text("ours")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert beside(path) == ["predictions.csv"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_run_left_is_no_hindrance(tmp_path, kind):
    path = tmp_path / "output"
    with atomic.atomic_write(path) as partial:
        write(partial, "file", "1")
    write(partial, kind, "of a killed run")
    with atomic.atomic_write(path) as partial:
        assert not partial.exists()
        write(partial, "folder", "2")
        assert beside(path).count("output") == 1
        path.unlink()  # a file in the way of a folder
    assert read(path) == "2"


def test_block_that_writes_nothing_fails(tmp_path):
    path = tmp_path / "output"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic.atomic_write(path):
        pass
    assert path.read_text() == "old"


def test_block_that_writes_nothing_keeps_the_old_folder(tmp_path):
    path = tmp_path / "output"
    write(path, "folder", "old")
    with pytest.raises(FileNotFoundError), atomic.atomic_write(path):
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
        atomic.write_table(frame, tmp_path / str(i))
        written.append((tmp_path / str(i)).read_bytes())
    assert len(set(written)) == 1
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "0"), frames[0], check_dtype=True, check_like=False
    )


def test_clear_removes_files_and_folders_and_minds_no_absence(tmp_path):
    write(tmp_path / "file", "file", "x")
    write(tmp_path / "folder", "folder", "x")
    atomic.clear(tmp_path / "file", tmp_path / "folder", tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_clear_removes_a_link_and_not_what_it_leads_to(tmp_path):
    write(tmp_path / "elsewhere", "folder", "kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    atomic.clear(tmp_path / "link")
    assert not (tmp_path / "link").exists()
    assert read(tmp_path / "elsewhere") == "kept"
