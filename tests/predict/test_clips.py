"""Clips of camera traps are answered as the bursts that they were made from."""

import itertools
import json
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from pictures import CONTAINERS, film
from PIL import Image

from pipeline import cli
from pipeline.inference.crops import SubjectCrop
from pipeline.inference.pooling import Pooling
from pipeline.inference.query import Query, answer_rows
from pipeline.inference.recogniser import Recogniser
from pipeline.predict import batch, clips
from pipeline.predict.events import Events
from pipeline.predict.formats import camtrap_dp


def bursts():
    """Ten bursts: on a blue or red scene, a red or blue animal walks through or nothing does."""
    noise = np.random.default_rng(0).integers(100, 160, (240, 352), dtype=np.uint8)
    for number in range(10):
        scene, animal = ((2, 0), (0, 2))[number % 2]
        frames = []
        for step in range(3 + number):
            frame = np.zeros((240, 352, 3), np.uint8)
            frame[..., scene] = noise
            if number % 5:
                left = 5 + 41 * (step % 8)
                frame[90:130, left : left + 40] = 0
                frame[90:130, left : left + 40, animal] = 255
            frames.append(frame)
        yield frames


@pytest.fixture
def animal(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(model, *arguments):
        command = ["predict", *arguments, "--model", str(model), "--jobs", "1"]
        monkeypatch.setattr(sys, "argv", ["animal", *command])
        cli.main()

    return run


@pytest.mark.parametrize("crops", [False, True])
def test_a_clip_has_the_answer_of_its_frames_as_a_burst(recogniser, tmp_path, animal, crops):
    model = recogniser
    if crops:
        model = tmp_path / "model"
        model.mkdir()
        for file in recogniser.iterdir():
            (model / file.name).write_bytes(file.read_bytes())
        (model / "finding.json").write_bytes(SubjectCrop(margin=0.25).written())
    (tmp_path / "card").mkdir()
    query, expected = Query.of({"burst": True}), {}
    for (number, frames), ending in itertools.product(enumerate(bursts()), CONTAINERS):
        film(tmp_path / f"card/{number}.{ending}", frames)
        photos = [cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in frames]
        answer = answer_rows(Recogniser(model, workers=1), photos, query, "")[0]
        expected[f"card/{number}.{ending}"] = answer["event_species"], answer["event_probability"]
    animal(model, "card", "--events", "events.csv")
    rows = pd.read_csv("predictions.csv").set_index("path")
    assert rows["species"].to_dict() == {path: species for path, (species, _) in expected.items()}
    assert rows["probability"].to_dict() == pytest.approx(
        {path: probability for path, (_, probability) in expected.items()}, abs=0.03
    )
    assert rows["frames"].tolist() == [3 + int(path[5]) for path in rows.index]
    assert rows["error"].isna().all()
    assert (rows["event"] == rows.index).all() and (rows["event_species"] == rows["species"]).all()
    events = pd.read_csv("events.csv").set_index("event")
    assert events["photos"].to_dict() == rows["frames"].to_dict()
    assert events["probability"].to_dict() == rows["probability"].to_dict()


def test_frames_of_real_bursts_answer_as_their_clip(recogniser, photos_folder, tmp_path):
    """Codecs blur a little, so that probabilities move; three containers, ten bursts."""
    folder = photos_folder("camtrap20")
    listed = pd.DataFrame(json.loads((folder / "metadata.json").read_text())["images"])
    model, query = Recogniser(recogniser, workers=1), Query.of({"burst": True})
    sequences = listed.groupby("seq_id")["file_name"].apply(list)
    chosen = [names for names in sequences if len(names) >= 3][:10]
    for names, ending in itertools.product(chosen, CONTAINERS):
        pictures = [Image.open(next(folder.rglob(name))).convert("RGB") for name in names]
        frames = [np.asarray(picture.resize((640, 480))) for picture in pictures]
        film(tmp_path / f"1.{ending}", frames)
        photos = [cv2.imencode(".png", frame[..., ::-1])[1].tobytes() for frame in frames]
        expected = answer_rows(model, photos, query, "")[0]
        answer = clips.answer(model, (tmp_path / f"1.{ending}").read_bytes, top_k=20)
        assert answer["probability"] == pytest.approx(expected["event_probability"], abs=0.05)
        if expected["event_probability"] > 0.6:
            assert answer["species"] == expected["event_species"]


def test_broken_clips_have_a_reason_and_the_others_an_answer(recogniser, tmp_path, animal):
    card = tmp_path / "card"
    card.mkdir()
    frames = next(bursts())
    for ending in CONTAINERS:
        film(card / f"good.{ending}", frames)
    whole = (card / "good.mp4").read_bytes()
    broken = {
        "empty.mp4": (b"", "empty"),
        "no_index.mp4": (whole[: len(whole) // 2], "unreadable"),
        "head.avi": ((card / "good.avi").read_bytes()[:300], "unreadable"),
        "text.mov": (b"not a film", "not_a_video"),
        "playlist.mp4": (f"#EXTM3U\n#EXTINF:1,\n{card}/good.avi\n".encode(), "not_a_video"),
    }
    for name, (data, _) in broken.items():
        (card / name).write_bytes(data)
    Image.new("RGB", (40, 40), "red").save(card / "photo.jpg")
    animal(recogniser, "card", "--output", "all.json")
    rows = {row["path"][5:]: row for row in json.loads((tmp_path / "all.json").read_text())}
    assert len(rows) == 9
    for name, (_, reason) in broken.items():
        assert rows[name]["error"].startswith(f"{reason}: "), name
        assert rows[name]["species"] is None and rows[name]["event"] is None
    for ending in CONTAINERS:
        row = rows[f"good.{ending}"]
        assert row["error"] is None and len(row["frames"]) == 3
        assert [one["second"] for one in row["frames"]] == pytest.approx([0, 0.1, 0.2], abs=0.11)
    assert rows["photo.jpg"]["frames"] is None and rows["photo.jpg"]["species"] == "red"


def test_clips_of_a_package_get_observations(recogniser, tmp_path):
    film(tmp_path / "1.mp4", next(bursts()))
    (tmp_path / "media.csv").write_text(
        "mediaID,deploymentID,timestamp,filePath\nm1,d1,2024-05-01T10:00:00Z,1.mp4\n"
    )
    batch.predict(recogniser, [str(tmp_path / "1.mp4")], tmp_path / "journal", jobs=1)
    labels = batch.labels(recogniser)
    packages = camtrap_dp.Packages()
    events = Events(labels, Pooling.load(recogniser), locate=packages.locate)
    packages.write(events.beside(batch.answers(tmp_path / "journal")), labels, tmp_path / "o.csv")
    rows = pd.read_csv(tmp_path / "o.csv")
    assert rows["observationLevel"].tolist() == ["media", "event"]
    assert rows["eventID"].nunique() == 1 and rows["scientificName"].nunique() == 1


@pytest.mark.parametrize(
    ("empty", "kind"), [(8, "species"), (9, "no_animal"), (16, "no_animal"), (0, "species")]
)
def test_a_clip_of_frames_without_an_animal_is_none_of_the_species(
    recogniser, tmp_path, monkeypatch, empty, kind
):
    """However probable one of the species would be."""
    frames = [np.full((240, 352, 3), (250, 0, 0), np.uint8)] * 16
    film(tmp_path / "a.mp4", frames)
    answered = clips.answer_rows

    def judged(*arguments, **options):
        rows = answered(*arguments, **options)
        return [r | {"kind": "no_animal"} if i < empty else r for i, r in enumerate(rows)]

    monkeypatch.setattr(clips, "answer_rows", judged)
    answer = clips.answer(Recogniser(recogniser, workers=1), (tmp_path / "a.mp4").read_bytes, 2)
    assert (answer["kind"], answer["unknown"]) == (kind, kind != "species"), answer["reason"]
