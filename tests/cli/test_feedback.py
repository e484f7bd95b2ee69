import csv
import io
import sys

import pytest
from PIL import Image

from pipeline import cli
from pipeline.sources.feedback import Feedback


def animal(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["animal", *map(str, arguments)])
    cli.main()


def test_decisions_are_listed_and_exported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    feedback = Feedback(tmp_path / "feedback")
    for shade, kind, label, who in [
        (1, "species", "fox", "Anna"),
        (1, "species", "wolf", "Ben"),
        (2, "species", "fox", "Anna"),
        (3, "bad_photo", None, "Anna"),
        (4, "species", "fox", "Anna"),
        (4, "withdrawn", None, "Anna"),
    ]:
        file = io.BytesIO()
        Image.new("RGB", (40, 40), (shade, 0, 0)).save(file, "PNG")
        feedback.add(file.getvalue(), kind, label, who)
    animal(monkeypatch, "feedback", tmp_path / "feedback", "--export", "all.csv")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "all.csv: 6 decisions"
    assert lines[1] == "4 photos, by Anna (3), Ben (1)"
    assert sorted(line.split() for line in lines[2:6]) == [
        *(["bad_photo", "1"], ["fox", "1"], ["in", "dispute", "1"], ["withdrawn", "1"]),
    ]
    assert lines[6].endswith("Anna says fox, Ben says wolf")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text("utf-8-sig"))))
    assert [(row["who"], row["label"]) for row in rows][:2] == [("Anna", "fox"), ("Ben", "wolf")]
    with pytest.raises(SystemExit, match="exists and is not replaced"):
        animal(monkeypatch, "feedback", tmp_path / "feedback", "--export", "all.csv")


def test_without_decisions_there_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="holds no decisions yet"):
        animal(monkeypatch, "feedback", tmp_path)
