"""Which photos are suggested for labelling."""

import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.inference import open_set
from pipeline.inference.open_set import NO_ANIMAL
from pipeline.predict import suggestions


def clusters():
    """Five kinds of photos, uneven, each with a core and some at its rim; of two it is unsure."""
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(5), [40, 9, 30, 12, 9])
    features = 20 * np.eye(5)[kind] + rng.normal(0, 0.5, (100, 5))
    sure = np.isin(kind, [0, 2, 4])
    top = np.where(sure, 0.999, 0.55)
    return np.stack([top, 1 - top], axis=1), features, kind


def test_each_kind_of_which_it_is_unsure_is_suggested():
    probabilities, features, kind = clusters()
    chosen = suggestions.clue(probabilities, features, 2)
    assert set(kind[chosen]) == {1, 3}
    assert len(set(suggestions.clue(probabilities, features, 40))) == 40
    assert chosen.tolist() == suggestions.clue(probabilities, features, 2).tolist()


def test_of_a_kind_the_most_typical_photo_is_suggested():
    """By hand: the photo that is nearest to the mean of its kind, each weighed by its entropy."""
    rng = np.random.default_rng(1)
    features = np.concatenate([rng.normal(0, 1, (20, 3)), rng.normal(30, 1, (25, 3))])
    top = rng.uniform(0.5, 0.99, 45)
    probabilities = np.stack([top, 1 - top], axis=1)
    weight = -(probabilities * np.log(probabilities)).sum(axis=1)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = []
    for rows in (np.arange(20), np.arange(20, 45)):
        centre = np.average(scaled[rows], axis=0, weights=weight[rows])
        expected.append(rows[np.square(scaled[rows] - centre).sum(axis=1).argmin()])
    chosen = suggestions.clue(probabilities, features, 2)
    assert set(chosen) == set(expected)
    assert weight[chosen[0]] > weight[chosen[1]], "the least sure comes first"


def test_of_copies_one_is_suggested():
    probabilities, features, _ = clusters()
    twice = np.concatenate([probabilities[:8]] * 2), np.concatenate([features[:8]] * 2)
    chosen = suggestions.clue(*twice, 16)
    assert sorted(chosen % 8) == list(range(8))


@pytest.fixture
def trip(tmp_path, monkeypatch):
    """Shades from blue to red, 24 of them sure and 6 between, a text, and a broken photo."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "trip"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (40, 40), (0, 0, 255 - i)).save(folder / f"blue{i:02d}.png")
        Image.new("RGB", (40, 40), (255 - i, 0, 0)).save(folder / f"red{i:02d}.png")
    for i in range(6):
        Image.new("RGB", (40, 40), (120 + i, 40 * i, 118)).save(folder / f"between{i}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("hello")
    return folder


def suggest(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["animal", "suggest", *map(str, arguments)])
    cli.main()
    return capsys.readouterr().out


def test_what_is_unsure_is_suggested_with_a_sheet(trip, recogniser, monkeypatch, capsys):
    said = suggest(monkeypatch, capsys, "trip", "--count", 5, "--model", recogniser)
    assert said.startswith("suggestions.csv, suggestions.png: 5 photos to label")
    assert "not_an_image" in said
    table = pd.read_csv("suggestions.csv")
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]
    assert table["path"].str.startswith("trip/between").sum() >= 4
    assert table["path"].is_unique
    first = table.iloc[0]
    assert first["margin"] == pytest.approx(2 * first["probability"] - 1)
    assert {first["species"], first["second"]} == {"red", "blue & co"}
    sheet = np.asarray(Image.open("suggestions.png"))
    shown = np.asarray(Image.open(first["path"]))[20, 20]
    assert np.abs(sheet[50, 50].astype(int) - shown).max() < 5
    with pytest.raises(SystemExit, match=r"suggestions.csv exists and is not replaced"):
        suggest(monkeypatch, capsys, "trip", "--model", recogniser)


def test_the_surest_are_forgotten_so_that_memory_stays_flat(trip, recogniser, monkeypatch):
    monkeypatch.setattr(suggestions, "_POOL", 2)
    monkeypatch.setattr(suggestions, "_LEAST_POOL", 0)
    monkeypatch.setattr(suggestions, "_AT_ONCE", 4)
    pooled = []
    clue = suggestions.clue
    monkeypatch.setattr(
        suggestions, "clue", lambda p, f, n: pooled.append(p.max(axis=1)) or clue(p, f, n)
    )
    table, pictures, left_out = suggestions.suggest(recogniser, [str(trip)], 3)
    assert len(table) == len(pictures) == 3
    assert len(pooled[0]) == 6 and pooled[0].max() < 0.9
    assert left_out["not_an_image"] == 1


def test_photos_without_an_animal_are_left_out(trip, recogniser, monkeypatch):
    monkeypatch.setattr(
        open_set.OpenSetRule,
        "answer_kind",
        lambda *_: {"kind": NO_ANIMAL, "reason": "nothing"},
    )
    table, pictures, left_out = suggestions.suggest(recogniser, [str(trip)], 3)
    assert table.empty and not pictures
    assert left_out["no animal"] == 30


def test_mistakes_are_sentences(trip, recogniser, monkeypatch, capsys):
    for arguments, sentence in (
        (("trip", "--count", 0), "--count is 0: give 1 or more"),
        (("trip", "--output", "a.png"), "let its name end with .csv"),
        (("trip/notes.txt",), "there is no photo"),
    ):
        with pytest.raises((SystemExit, UserError), match=sentence):
            suggest(monkeypatch, capsys, *arguments, "--model", recogniser)
