"""When `make` makes the virtual environment anew."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("place", "anew"), [("here", False), ("elsewhere", True)])
def test_a_moved_project_gets_a_new_environment(tmp_path, place, anew):
    project = tmp_path / "my animals"
    (project / ".venv").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, project)
    made_in = project if place == "here" else tmp_path / "former"
    (project / ".venv/ready").write_text(f"{made_in.resolve()}\n")
    done = subprocess.run(["make", "-n", "run"], cwd=project, capture_output=True, text=True)
    assert "dvc repro" in done.stdout, done.stderr
    assert ("-m venv --clear .venv" in done.stdout) == anew


def test_clean_removes_what_stages_wrote_and_no_photo_that_a_person_put_there(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    ours = ["ingested/manifest.parquet", "ingested/files/a/1.jpg", "resized/images-00000.npy"]
    ours += ["ingested/clips/a.mp4/00_0.0s.jpg"]
    ours += ["resized/index.parquet", "augmented/index.parquet", "../reports/metrics.json"]
    theirs = [
        "ingested/files/a/mine.jpg",
        "ingested/clips/mine.jpg",
        "resized/fox/1.jpg",
        "augmented/2.jpg",
    ]
    theirs += ["feedback/decisions.jsonl", "weights/lite.pth", "corrections.csv"]
    for name in ours + theirs:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    (tmp_path / "data/ingested/gathered.json").write_text('["a/1.jpg", "a/gone.jpg"]')
    (tmp_path / "data/ingested/clips.json").write_text('["a.mp4/00_0.0s.jpg"]')
    for _ in range(2):  # and once more, when nothing is left to remove
        done = subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        left = {file.relative_to(tmp_path / "data") for file in tmp_path.rglob("data/**/*.*")}
        assert left == {Path(name) for name in theirs}
    assert not (tmp_path / "reports/metrics.json").exists()
    assert not list(tmp_path.glob("data/ingested/*.json"))
