"""What the page shows of a collection that ingest has looked through."""

import json
import shutil

import pandas as pd
import pytest

from pipeline.app import collection_summary
from pipeline.ingest import summary
from pipeline.sources.reader import Collection

COUNTS = (
    "species,files,accepted,rare,truncated\n"
    "(none),1,0,0,1\n007,3,2,0,1\nfox,9,9,0,0\nlynx,1,0,1,0\n"
)
REFUSED = "path,species,reason,detail\na/1.jpg,007,truncated,\nx,,truncated,\nl/1.jpg,lynx,rare,\n"
METADATA = pd.DataFrame(
    {
        "file": ["coco.json", "old.csv"],
        "taken_for": ["COCO Camera Traps", "table"],
        "used_for": ["labels", ""],
        "why_not": ["", "labels come from coco.json"],
    }
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = tmp_path / "reports/ingest"
    report.mkdir(parents=True)
    (report / "counts.csv").write_text(COUNTS)
    (report / "quarantine.csv").write_text(REFUSED)
    summary.write_sources(report, "/photos", Collection(pd.DataFrame(), METADATA, {}))
    return tmp_path


def test_species_and_refused_files_are_counted_the_most_first(project):
    found = collection_summary.read("/photos", 5)
    assert found == {
        "form": "tables",
        "tables": ["coco.json"],
        "species": [["fox", 9], ["007", 2]],
        "refused": [
            {"reason": "truncated", "files": 2, "example": "a/1.jpg"},
            {"reason": "rare", "files": 1, "example": "l/1.jpg"},
        ],
        "unused": [{"file": "old.csv", "why": "labels come from coco.json"}],
        "least": 5,
    }


def test_of_another_collection_or_a_report_that_is_being_written_nothing_is_shown(project):
    assert collection_summary.read("/others", 5) is None
    (project / "reports/ingest/counts.csv").write_text("")
    assert collection_summary.read("/photos", 5) is None
    (project / "reports/ingest/source.json").unlink()
    assert collection_summary.read("/photos", 5) is None


@pytest.mark.parametrize(
    ("source", "labels", "form"),
    [
        ("photos", 0, "class_folders"),
        ("photos", 1, "tables"),
        ("photos.zip", 0, "archive"),
        ("photos.zip", 1, "archive_of_tables"),
        ("demo.yaml", 0, "recipe"),
    ],
)
def test_the_form_is_that_of_the_source(tmp_path, monkeypatch, source, labels, form):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    shutil.make_archive("photos", "zip", "photos")
    (tmp_path / "demo.yaml").write_text("kind: drawn")
    collection = Collection(pd.DataFrame(), METADATA.head(labels), {})
    summary.write_sources(tmp_path, source, collection)
    assert json.loads((tmp_path / "source.json").read_text()) == {
        "source": source,
        "form": form,
        "tables": ["coco.json"] * labels,
    }
