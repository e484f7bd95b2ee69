"""One answer for the photos of a burst, in tables and in what other programs read."""

import csv
import json
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.inference.calibration import Calibration
from pipeline.inference.pooling import Pooling
from pipeline.predict.events import Events
from pipeline.predict.formats import camtrap_dp, megadetector

LABELS = ["blank", "fox", "owl", "roe deer"]
TAKEN = 0x9003


def answer(path, time, top, error=None):
    ranked = sorted(top.items(), key=lambda pair: -pair[1])
    listed = [{"species": name, "probability": number} for name, number in ranked]
    first = listed[0] if listed else {"species": None, "probability": None}
    said = {"path": path, "taken_at": time, "top": listed, "unknown": False, "error": error}
    return first | said


@pytest.fixture
def events():
    pooling = Pooling("arithmetic", Calibration(temperature=1.0, unknown_below=0.5, set_from=0.2))
    return Events(LABELS, pooling, gap=60, top=2)


ANSWERS = [
    answer("a/1.jpg", "2024-05-01T10:01:30", {"fox": 0.6, "owl": 0.3, "roe deer": 0.1}),
    answer("a/2.jpg", "2024-05-01T10:00:00", {"owl": 0.7, "fox": 0.24}),  # two others share 0.06
    answer("a/3.jpg", "2024-05-01T10:00:50", {"fox": 0.5, "blank": 0.5}),
    answer("a/4.jpg", None, {"fox": 0.9, "owl": 0.1}),
    answer("a/5.jpg", "2024-05-01T10:00:55", {}, error="empty: no bytes"),
    answer("b/1.jpg", "2024-05-01T10:00:50", {"roe deer": 0.4, "fox": 0.4, "owl": 0.2}),
]


def test_photos_of_a_folder_within_the_gap_have_one_answer(events):
    rows = list(events.beside(iter(ANSWERS)))
    named = ["a 2024-05-01T10:00:00", "b 2024-05-01T10:00:50"]
    assert [row["event"] for row in rows] == [named[0]] * 3 + [None, None, named[1]]
    fox = [0.6, 0.24 / 0.97, 1.0]  # shares among animals; the second is blank with 0.03
    weights = [1, 0.97, 0.5]
    expected = np.average(fox, weights=weights)
    owl = np.average([0.3, 0.7 / 0.97, 0], weights=weights)
    assert expected > owl
    assert {row["event_species"] for row in rows[:3]} == {"fox"}
    assert rows[0]["event_probability"] == pytest.approx(expected, abs=1e-6)
    assert [row["species"] for row in rows[:3]] == ["fox", "owl", "fox"]
    assert [row["event_unknown"] for row in rows] == [expected < 0.5] * 3 + [None, None, True]
    assert all(len(row["top"]) <= 2 for row in rows)


def test_an_event_has_a_row_of_its_own(events):
    first, second = events.rows(iter(ANSWERS))
    assert (first["camera"], first["photos"]) == ("a", 3)
    assert (first["start"], first["end"]) == ("2024-05-01T10:00:00", "2024-05-01T10:01:30")
    assert first["prediction_set"] == ["fox", "owl"]
    assert (second["camera"], second["photos"], second["unknown"]) == ("b", 1, True)


def test_other_programs_read_which_photos_are_one_event(events, tmp_path):
    (tmp_path / "media.csv").write_text(
        "mediaID,deploymentID,timestamp,filePath\n"
        "m1,d1,2020-05-30T23:59:37+02:00,1.jpg\n"
        "m2,d1,2020-05-31T00:00:10+02:00,2.jpg\n"
        "m3,d2,2020-05-31T00:00:11+02:00,3.jpg\n"
    )
    tops = [{"fox": 0.8, "owl": 0.2}, {"owl": 0.6, "fox": 0.4}, {"blank": 1.0}]
    for number in (1, 2, 3):
        (tmp_path / f"{number}.jpg").touch()
    # The files say other times than the package, which knows its cameras' clocks.
    events = Events(LABELS, events.pooling, gap=60, locate=camtrap_dp.Packages().locate)
    for order in (1, 2, 3), (2, 1, 3):
        answers = [answer(str(tmp_path / f"{n}.jpg"), "2001-01-01T01:01:01", tops[n - 1])
                   for n in order]  # fmt: skip
        camtrap_dp.Packages().write(events.beside(answers), LABELS, tmp_path / "o.csv")
        with (tmp_path / "o.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert (rows[3]["eventStart"], rows[3]["eventEnd"]) == (
            *("2020-05-30T23:59:37+02:00", "2020-05-31T00:00:10+02:00"),
        ), order
    assert [row["observationLevel"] for row in rows] == ["media"] * 3 + ["event"] * 2
    assert [row["mediaID"] for row in rows] == ["m2", "m1", "m3", "", ""]
    fox, nothing = rows[3:]
    assert rows[0]["eventID"] == rows[1]["eventID"] == fox["eventID"] != nothing["eventID"]
    assert (fox["observationType"], fox["scientificName"]) == ("animal", "fox")
    assert float(fox["classificationProbability"]) == pytest.approx(0.6)
    assert (nothing["observationType"], nothing["scientificName"]) == ("blank", "")
    assert len({row["observationID"] for row in rows}) == 5
    megadetector.write(events.beside(answers), LABELS, tmp_path / "md.json")
    images = json.loads((tmp_path / "md.json").read_text())["images"]
    assert [image["seq_id"] for image in images] == [row["eventID"] for row in rows[:3]]


def test_the_command_writes_both_levels(recogniser, tmp_path, monkeypatch, capsys):
    """Five photos of a card, two of them much later, and the red ones outshine the blue one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card").mkdir()
    taken = [("red", "00:00"), ("navy", "00:08"), ("red", "00:16"), ("blue", "09:00")]
    for number, (colour, time) in enumerate([*taken, ("blue", "09:30")]):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[TAKEN] = f"2024:05:01 10:{time}"
        Image.new("RGB", (40, 50 + number), colour).save(f"card/{number}.jpg", exif=exif)

    def animal(*arguments):
        command = ["predict", "card", "--model", str(recogniser), "--jobs", "1", *arguments]
        monkeypatch.setattr(sys, "argv", ["animal", *command])
        cli.main()

    animal("--events", "events.csv")
    photos, events = pd.read_csv("predictions.csv"), pd.read_csv("events.csv")
    assert photos["species"].tolist() == ["red", "blue & co", "red", "blue & co", "blue & co"]
    assert photos["event_species"].tolist() == ["red"] * 3 + ["blue & co"] * 2
    assert events["species"].tolist() == ["red", "blue & co"]
    assert events["photos"].tolist() == [3, 2]
    assert events["start"].tolist() == ["2024-05-01T10:00:00", "2024-05-01T10:09:00"]
    assert photos["event"].unique().tolist() == events["event"].tolist()
    animal("--output", "other.csv", "--event-gap", "5")
    assert pd.read_csv("other.csv")["event"].nunique() == 5
    with pytest.raises((SystemExit, UserError), match="name two files"):
        animal("--output", "same.csv", "--events", "./same.csv")
