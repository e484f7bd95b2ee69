import sys

import pandas as pd
import pytest
from PIL import Image

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.predict import species_list

LABELS = ["Red Fox", "roe deer", "kangaroo", "blank"]


@pytest.fixture
def listed(tmp_path):
    def read(text):
        (tmp_path / "list.csv").write_text(text)
        return species_list.read(tmp_path / "list.csv", LABELS)

    return read


def answer(path, taken_at=None, **top):
    top = {name.replace("_", " "): number for name, number in top.items()}
    listed = [{"species": name, "probability": p} for name, p in top.items()]
    return {
        **{"path": path, "taken_at": taken_at, "error": None, "top": listed, "unknown": False},
        **{"prediction_set": list(top)[:2], "rank": "species", "taxon": listed[0]["species"]},
        **{"kind": "species", "reason": "sure", **listed[0]},
    }


def test_what_is_not_on_the_list_becomes_the_likeliest_that_is(listed):
    entries = listed("Species,note\nred fox,\nroe deer,shy\nbear,\n")
    rows = [
        answer("a/1.jpg", kangaroo=0.4, roe_deer=0.33, **{"Red Fox": 0.22}, blank=0.05),
        answer("a/2.jpg", **{"Red Fox": 0.6}, kangaroo=0.2, blank=0.2),
        answer("a/3.jpg", kangaroo=0.9, roe_deer=0.1),
    ]
    first, second, third = species_list.apply(entries, rows)
    assert (first["species"], first["off_list"]) == ("roe deer", "kangaroo")
    assert first["probability"] == pytest.approx(0.33 / 0.6)
    assert [one["species"] for one in first["top"]] == ["roe deer", "Red Fox", "blank"]
    assert (first["prediction_set"], first["unknown"]) == (["roe deer"], False)
    assert first["taxon"] is None
    assert (second["species"], second["off_list"]) == ("Red Fox", None)
    assert second["probability"] == pytest.approx(0.75)
    assert second["taxon"] == "Red Fox"
    assert (third["species"], third["unknown"]) == ("roe deer", True), "most likely off the list"
    assert third["kind"] == "unknown_animal"
    assert "0.10" in third["reason"]


@pytest.mark.parametrize(
    ("path", "day", "species"),
    [
        ("card/north/x/1.jpg", "2023-04-01T00:00:01", "roe deer"),
        ("card/north/x/1.jpg", "2023-05-15T10:00:00", "Red Fox"),  # roe deer leave by then
        ("card/north/x/1.jpg", "2023-11-01T10:00:00", "roe deer"),
        ("card/north/x/1.jpg", None, "roe deer"),
        ("card/south/1.jpg", "2023-05-15T10:00:00", "kangaroo"),
        ("card/southern/1.jpg", "2023-05-15T10:00:00", "roe deer"),  # nothing is said of it
    ],
)
def test_a_line_holds_for_its_place_and_season(listed, path, day, species):
    entries = listed(
        "species,location,from,to\n"
        "roe deer,north,2020-11-01,05-14\nred fox,north,,\nkangaroo,south,,\n"
    )
    row = answer(path, day, roe_deer=0.5, **{"Red Fox": 0.3}, kangaroo=0.2)
    (told,) = species_list.apply(entries, [row])
    assert told["species"] == species
    if "southern" in path:
        assert told == row | {"off_list": None}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name\nfox\n", "no column `species`; it has name"),
        ("species\nbear\nlynx\n", "none of the species that the model knows: Red Fox, roe deer"),
        ("species,from,to\nred fox,April,05-01\n", "the day 'April'; write MM-DD"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(listed, text, sentence):
    with pytest.raises(UserError) as refused:
        listed(text)
    assert sentence in str(refused.value)


def test_the_command_tells_what_the_list_changed(recogniser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card").mkdir()
    Image.new("RGB", (40, 40), (60, 0, 40)).save("card/1.png")
    Image.new("RGB", (40, 40), "blue").save("card/2.png")
    (tmp_path / "list.csv").write_text("species\nblue & co\n")
    command = ["animal", "predict", "card", "--list", "list.csv", "--model", str(recogniser)]
    monkeypatch.setattr(sys, "argv", [*command, "--jobs", "1"])
    cli.main()
    table = pd.read_csv("predictions.csv")
    assert table["species"].tolist() == ["blue & co"] * 2
    assert table["off_list"].fillna("").tolist() == ["red", ""]
    monkeypatch.setattr(sys, "argv", [*command, "--output", "x.csv", "--list", "none.csv"])
    with pytest.raises((SystemExit, UserError), match="there is no such file"):
        cli.main()
