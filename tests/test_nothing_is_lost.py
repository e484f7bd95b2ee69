"""No command replaces or removes what it did not write itself, whatever paths it is given."""

import hashlib
import os
import random
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from pipeline import cli

STAGES = Path(__file__).parents[1] / "stages"
PATHS = [
    *(".", "..", "../..", "/", "trip", "trip/", "./trip", "../project/trip", "trip/cat", "trip/.."),
    *("trip/cat/0.jpg", "trip/0.jpg/x", "notes.csv", "notes.csv/", "notes.csv/x.csv", "empty"),
    *("link-to-trip", "link-to-trip/", "link-to-trip/cat", "link-to-photo.csv", "dangling.csv"),
    *(
        "new",
        "new/",
        "new.csv",
        "new/deep/x.csv",
        "./new.json",
        "trip/new.csv",
        "empty/new.parquet",
    ),
    *("data", "data/", "data/ingested", "data/ingested/files", "data/resized/new", "data/sources"),
    *("models", "models/final", "models/final/new.csv", "models/new", "reports", "reports/drift"),
    *("mlruns", "mlruns/x", ".cache", ".cache/x.csv", ".git", "src", "params.yaml", "dvc.yaml"),
    *("../elsewhere", "../elsewhere/card", "~", "~/x.csv", "exported", "exported/", "log.jsonl"),
    *("trip.csv.journal", "taken.csv"),
]
NEW = [path for path in PATHS if "new" in path]
STATE = ("params.yaml", ".cache", "data/ingested", "reports/ingest")  # the project's own


@pytest.fixture
def home(tmp_path, recogniser, drawn_photos, monkeypatch):
    """A home with a project, photos inside and outside of it, notes, links and an export."""
    project = tmp_path / "home" / "project"
    for folder in ("trip", "../elsewhere/card"):
        for number, photo in enumerate(sorted(drawn_photos.rglob("*.jpg"))[:3]):
            (project / folder / "cat").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photo, project / folder / "cat" / f"{number}.jpg")
    for folder in ("empty", "data/sources", "data/resized", "mlruns", "src", ".git", ".cache"):
        (project / folder).mkdir(parents=True)
    shutil.copytree(recogniser, project / "models/final")
    (project / "data/resized/mine.jpg").write_bytes(b"somebody's")
    (project / "data/ingested/files").mkdir(parents=True)
    (project / "data/ingested/mine.jpg").write_bytes(b"somebody's")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(STAGES.parent / name, project / name)
    (project / "data/sources/demo.yaml").write_text("kind: drawn\n")
    (project / "notes.csv").write_text("day,what\n1,rain\n")
    (project / "log.jsonl").write_text('{"time": "2026-01-01T00:00:00+00:00"}\n' * 3)
    (project / "taken.csv.journal").write_text("a diary\n")
    (project / "link-to-trip").symlink_to("trip")
    (project / "link-to-photo.csv").symlink_to("trip/cat/0.jpg")
    (project / "dangling.csv").symlink_to("nowhere")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(project)
    return tmp_path / "home"


def contents(home):
    """What stands below a folder, by path: a digest, where a link leads, or that it is a folder."""
    found = {}
    for folder, folders, files in os.walk(home):
        for path in (Path(folder, name) for name in (*folders, *files)):
            if path.is_symlink():
                found[path] = f"link to {path.readlink()}"
            else:
                digest = hashlib.sha256(path.read_bytes()) if path.is_file() else None
                found[path] = digest.hexdigest() if digest else "folder"
    return found


def run(monkeypatch, *arguments):
    """Runs a command in this process; gives what it stopped with."""
    monkeypatch.setattr(sys, "argv", ["animal", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return end.code


def ingest(path):
    """Runs the stage on a source, as `dvc repro` does after somebody edited params.yaml."""
    text = Path("params.yaml").read_text().replace("data/sources/demo.yaml", path)
    Path("params.yaml").write_text(text.replace("jobs: -1", "jobs: 1"))
    try:
        runpy.run_path(str(STAGES / "ingest.py"), run_name="__main__")
    except SystemExit as end:
        return end.code


def command(draw, path):
    """A random command that is given a path to write to, or to learn from."""
    model = ("--model", "models/final")
    photos = draw.choice(["trip", "trip/cat/0.jpg", "../elsewhere", "link-to-trip", path])
    form = draw.choice([(), ("--format", "megadetector"), ("--format", "csv")])
    return draw.choice(
        [
            ("predict", photos, "--output", path, "--jobs", 1, *form, *model),
            ("export", path, "--float", *model),
            ("drift", "log.jsonl", "--output", path, *model),
            ("serve", "--log", path, *model),
            ("serve", "--keep-photos", path, *model),
            ("use", path),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_only_the_named_output_changes(home, monkeypatch, seed):
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)  # no server is started
    draw, done = random.Random(seed), set()
    for _ in range(40):
        path = draw.choice(draw.choice([PATHS, NEW]))
        typed = command(draw, path)
        before = contents(home)
        code = run(monkeypatch, *typed)
        after = contents(home)
        done |= {typed[0]} if code is None else set()
        project = home / "project"
        lost = [
            str(old)
            for old, digest in before.items()
            if after.get(old) != digest and old != project / "params.yaml"
        ]
        assert lost == [], f"`animal {' '.join(map(str, typed))}` changed {lost} (exit code {code})"
        named = Path(os.path.abspath(path))  # noqa: PTH100
        for new in sorted(after.keys() - before.keys()):
            below = new.is_relative_to(named) or named.is_relative_to(new)
            assert below, f"`animal {' '.join(map(str, typed))}` wrote {new} beside its output"
            if new.is_symlink() or new.is_file():
                new.unlink()
        for new in sorted(after.keys() - before.keys(), reverse=True):
            new.rmdir() if new.is_dir() else None
    assert {"predict", "export"} & done and "serve" in done, "all such commands were refused"


@pytest.mark.parametrize("path", [p for p in PATHS if p not in ("/", "~", "~/x.csv")])
def test_ingest_removes_no_photo_of_a_person(home, path):
    before = contents(home)
    code = ingest(path)
    after = contents(home)
    own = [home / "project" / name for name in STATE]
    lost = [
        str(old)
        for old, digest in before.items()
        if after.get(old) != digest and not any(old.is_relative_to(place) for place in own)
    ]
    assert code, f"ingest of {path} ended well beside a photo in data/ingested"
    assert lost == []
    assert (home / "project/data/ingested/mine.jpg").read_bytes() == b"somebody's"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("predict trip --output trip/ --format megadetector", "trip/ is a folder, and a file"),
        (
            "predict trip --output trip/cat/0.jpg --format csv",
            "exists and is not replaced",
        ),
        ("predict trip --output notes.csv", "notes.csv exists and is not replaced"),
        ("predict trip --output dangling.csv", "dangling.csv exists and is not replaced"),
        ("predict trip --output new.csv/", "new.csv/ names a folder"),
        ("predict trip --output notes.csv/x.csv", "notes.csv is not a folder"),
        ("predict trip --output taken.csv", "taken.csv.journal is not the journal"),
        ("predict trip --output data/resized/x.csv", "lies in data/resized"),
        ("export trip", "trip is not replaced, for cat/0.jpg in it was not written"),
        ("export .", "the current folder or one above it"),
        ("export ..", "the current folder or one above it"),
        ("export notes.csv", "is not a folder that can be replaced"),
        ("drift log.jsonl --output trip", "trip is not replaced"),
        ("serve --log notes.csv", "notes.csv exists and is not replaced"),
        ("serve --log trip/cat/0.jpg", "exists and is not replaced"),
        ("serve --keep-photos notes.csv", "notes.csv exists and is not replaced"),
        ("use data/ingested/files", "lies in data/ingested"),
        ("use .", "holds "),
        ("use data", "holds data/ingested"),
        ("use ..", "holds "),
        ("use notes.csv", "holds "),
        ("use models/final", "lies in models"),
        ("use .cache", "lies in .cache"),
    ],
)
def test_refusal_says_what_is_in_the_way(home, monkeypatch, typed, sentence, capsys):
    before = contents(home)
    code = run(
        monkeypatch, *typed.split(), *(() if "use" in typed else ("--model", "models/final"))
    )
    message = str(code) + capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message
    assert contents(home) == before


def test_export_replaces_its_own_folder_and_no_other(home, monkeypatch):
    assert run(monkeypatch, "export", "exported", "--float", "--model", "models/final") is None
    assert run(monkeypatch, "export", "exported", "--float", "--model", "models/final") is None
    Path("exported/notes.txt").write_text("which phone it is on")
    before = contents(home)
    assert "notes.txt" in run(
        monkeypatch, "export", "exported", "--float", "--model", "models/final"
    )
    assert contents(home) == before
