import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_detectors import centred, filled, network
from PIL import Image

from pipeline import cli
from pipeline.inference.crops import SubjectCrop
from pipeline.inference.query import Query, answer_rows
from pipeline.inference.recogniser import Recogniser
from pipeline.predict import batch

ANIMAL = [sys.executable, "-c", "from pipeline.cli import main; main()"]


@pytest.fixture
def album(tmp_path, monkeypatch):
    """Forty photos, red and blue in turn, and one that is broken, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "album"
    folder.mkdir()
    for i in range(40):
        Image.new("RGB", (40, 50 + i), ("blue", "red")[i % 2]).save(folder / f"{i:02d}.png")
    (folder / "13.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def animal(recogniser, monkeypatch, capsys):
    def run(*arguments, model=recogniser):
        model = ["--model", str(model), "--jobs", "1"] if arguments[0] == "predict" else []
        monkeypatch.setattr(sys, "argv", ["animal", *map(str, arguments), *model])
        cli.main()
        return capsys.readouterr().out

    return run


def test_every_photo_has_a_row_and_a_broken_one_the_reason(album, animal):
    said = animal("predict", "album", "--output", "all.csv")
    assert said == "all.csv: 40 photos, 1 of them could not be read\n"
    table = pd.read_csv("all.csv")
    assert table["path"].tolist() == [f"album/{i:02d}.png" for i in range(40)]
    broken = table["path"] == "album/13.png"
    assert table.loc[broken, "error"].str.startswith("not_an_image: ").all()
    assert table.loc[~broken, "error"].isna().all()
    right = np.where(np.arange(40) % 2, "red", "blue & co")
    assert (table["species"] == right)[~broken].all()
    assert table.loc[~broken, "probability"].gt(0.9).all()
    shas = [hashlib.sha256((album / f"{i:02d}.png").read_bytes()).hexdigest() for i in range(40)]
    assert table["photo"].tolist() == shas
    others = np.where(np.arange(40) % 2, "blue & co", "red")
    assert (table["species_2"] == others)[~broken].all()
    both = table["probability"] + table["probability_2"]
    assert both[~broken].tolist() == pytest.approx([1.0] * 39, abs=2e-6)
    assert (table["prediction_set"] == right)[~broken].all()
    assert not Path("all.csv.journal").exists()


def test_the_forms_of_a_table_say_the_same(album, animal):
    for name in ("all.csv", "all.parquet", "all.json"):
        animal("predict", "album", "--output", name)
    csv, parquet = pd.read_csv("all.csv"), pd.read_parquet("all.parquet")
    parquet = parquet.fillna({"event_unknown": np.nan})  # None, of a column of booleans
    good = parquet["error"].isna()
    pd.testing.assert_frame_equal(csv[good], parquet[good], check_dtype=False)
    listed = json.loads(Path("all.json").read_text())
    species = pd.Series([answer["species"] for answer in listed], name="species")
    pd.testing.assert_series_equal(species, parquet["species"], check_dtype=False)
    assert [len(answer["top"]) for answer in listed[12:14]] == [2, 0]


@pytest.mark.parametrize("cut", [0, 10, 200, 1000, -1])
def test_a_journal_cut_anywhere_leads_to_the_same_file(album, animal, recogniser, cut):
    animal("predict", "album", "--output", "whole.csv")
    journal = Path("again.csv.journal")
    batch.predict(recogniser, ["album"], journal, jobs=1)
    journal.write_bytes(journal.read_bytes()[:cut])
    animal("predict", "album", "--output", "again.csv")
    assert Path("again.csv").read_bytes() == Path("whole.csv").read_bytes()


@pytest.mark.parametrize("beside", [False, True])
def test_what_a_journal_answers_is_not_asked_again(album, recogniser, tmp_path, beside):
    """Wherever it lies: beside the network, too."""
    recogniser = Path(shutil.copytree(recogniser, tmp_path / "recogniser"))
    journal = recogniser / "j" if beside else Path("j")
    batch.predict(recogniser, ["album"], journal, jobs=1)
    text = journal.read_text().replace('"red"', '"kept"')
    journal.write_text("\n".join(text.splitlines()[:36]) + "\n")
    batch.predict(recogniser, ["album"], journal, jobs=1)
    species = [answer["species"] for answer in batch.answers(journal)]
    assert "kept" in species[20:32]
    assert "kept" not in species[32:], "the batch that was being answered is answered anew"


def test_photos_that_came_since_the_kill_get_their_place(album, animal, recogniser):
    batch.predict(recogniser, ["album"], Path("again.csv.journal"), jobs=1)
    Image.new("RGB", (40, 40), "red").save(album / "05b.png")
    (album / "39.png").unlink()
    animal("predict", "album", "--output", "again.csv")
    animal("predict", "album", "--output", "whole.csv")
    assert Path("again.csv").read_bytes() == Path("whole.csv").read_bytes()


@pytest.mark.parametrize("jobs", [0, -2])
def test_a_number_of_processes_that_is_none_is_refused(album, monkeypatch, jobs):
    command = ["animal", "predict", "album", "--model", "none", "--jobs", str(jobs)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match=f"--jobs is {jobs}; use -1 for every core, or a number"):
        cli.main()


@pytest.mark.parametrize("altered", ["labels.json", "model.tflite"])
def test_the_journal_of_another_recogniser_is_not_gone_on_with(
    album, recogniser, tmp_path, altered
):
    """Another name for red, or a network that takes red for blue and blue for red."""
    journal = tmp_path / "j"
    batch.predict(recogniser, ["album"], journal, jobs=1)
    other = Path(shutil.copytree(recogniser, tmp_path / "other"))
    file = other / altered
    weights = np.float32([[-0.01, 0, 0.01], [0.01, 0, -0.01]])
    was, becomes = {
        "labels.json": (b'"red"', b'"rad"'),
        "model.tflite": (weights.tobytes(), weights[::-1].tobytes()),
    }[altered]
    assert file.read_bytes().count(was) == 1
    file.write_bytes(file.read_bytes().replace(was, becomes))
    batch.predict(other, ["album"], journal, jobs=1)
    answers = [answer["species"] for answer in batch.answers(journal)]
    first, second = {"labels.json": ("blue & co", "rad"), "model.tflite": ("red", "blue & co")}[
        altered
    ]
    expected = [second if i % 2 else first for i in range(40)]
    expected[13] = None
    assert answers == expected


def test_probabilities_keep_six_digits(album, recogniser):
    """The red photos' logits are 2.55 apart; half the temperature doubles that."""
    batch.predict(recogniser, ["album/01.png"], Path("j"), jobs=1)
    (answer,) = batch.answers(Path("j"))
    exact = 1 / (1 + np.exp(-2 * 2 * 0.01 * 255))
    assert answer["probability"] == pytest.approx(exact, abs=6e-7)
    assert answer["probability"] == round(answer["probability"], 6)
    assert (answer["brightness"], answer["sharpness"]) == (0, 0)  # of green


def test_a_mistake_is_a_sentence(album, animal):
    for arguments, sentence in (
        (("album", "--output", "all.xls"), "--output all.xls ends with none of .csv, .parquet"),
        (("nothing",), "there is no nothing"),
        ((".git*",), "there is no .git"),
    ):
        with pytest.raises(SystemExit, match=re.escape(sentence)):
            animal("predict", *arguments)
    Path("empty").mkdir()
    with pytest.raises(SystemExit, match="there is no photo in empty"):
        animal("predict", "empty")


@pytest.mark.slow
def test_killed_and_typed_again_it_writes_the_same_file_and_never_loads_tensorflow(
    album, recogniser, tmp_path
):
    for i in range(700):
        (album / f"x{i}.png").symlink_to(album / f"{i % 40:02d}.png")
    told = f"import sys; {ANIMAL[2]}; print('tensorflow' in sys.modules)"
    command = ["predict", "album", "--model", str(recogniser), "--jobs", "2", "--output"]
    done = subprocess.run(
        [sys.executable, "-c", told, *command, "whole.csv"], capture_output=True, text=True
    )
    assert done.stdout.endswith("False\n"), done.stderr

    journal = Path("again.csv.journal")
    started = subprocess.Popen([*ANIMAL, *command, "again.csv"], start_new_session=True)
    while not journal.exists() or journal.read_bytes().count(b"\n") < 300:
        assert started.poll() is None, "it was done before it could be killed"
        time.sleep(0.002)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert not Path("again.csv").exists()
    subprocess.run([*ANIMAL, *command, "again.csv"], check=True)
    assert Path("again.csv").read_bytes() == Path("whole.csv").read_bytes()


@pytest.mark.slow
def test_a_cluster_writes_the_same_file(album, animal, cluster):
    pytest.importorskip("distributed")
    cluster.work(2)
    animal("predict", "album", "--output", "here.csv")
    animal("predict", "album", "--output", "there.csv", "--dask", cluster.address)
    assert Path("there.csv").read_bytes() == Path("here.csv").read_bytes()


@pytest.fixture
def bursts(recogniser, tmp_path, monkeypatch):
    """A recogniser that sees what moves; red blocks walk through one blue scene, and one is still.

    The burst of card 1 is taken out of order, and one of its files is broken. A single photo of
    card 2 shows a block that is too small to count in the whole.
    """
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    shutil.copytree(recogniser, model)
    (model / "finding.json").write_bytes(SubjectCrop(margin=0.0).written())
    noise = np.random.default_rng(0).integers(100, 160, (240, 352))
    for name, number, second in [("1", 0, 8), ("1", 1, 2), ("1", 2, 5), ("1", 3, 1), ("2", 0, 1)]:
        frame = np.zeros((240, 352, 3), np.uint8)
        frame[..., 2] = noise
        frame[100:140, 20 + 70 * number : 80 + 70 * number] = 255, 0, 0
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:01 10:00:0{second}"
        path = tmp_path / "cards" / name / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(path, exif=exif, quality=95)
    (tmp_path / "cards/1/2b.jpg").write_bytes(b"no picture")
    return model


def test_a_recogniser_of_what_moves_sees_it_in_bursts(bursts, animal):
    animal("predict", "cards", model=bursts)
    table = pd.read_csv("predictions.csv").set_index("path")
    assert table["species"][[f"cards/1/{n}.jpg" for n in range(4)]].tolist() == ["red"] * 4
    assert table["species"]["cards/2/0.jpg"] == "blue & co", "seen as a whole, it is mostly blue"
    assert table["error"].notna().tolist() == [False, False, False, True, False, False]
    digest = hashlib.sha256(Path("cards/1/0.jpg").read_bytes()).hexdigest()
    assert table["photo"]["cards/1/0.jpg"] == digest


def test_views_of_bursts_are_answered_as_in_a_request(bursts, animal):
    (bursts / "finding.json").write_bytes(SubjectCrop(margin=0.0, views=True).written())
    animal("predict", "cards", model=bursts)
    table = pd.read_csv("predictions.csv").set_index("path")
    names = [f"cards/1/{n}.jpg" for n in (3, 1, 2, 0)]  # as they were taken
    photos = [Path(name).read_bytes() for name in names]
    model = Recogniser(bursts, workers=1)
    rows = answer_rows(model, photos, Query.of({"burst": True}), "")
    expected = [row["probability"] for row in rows]
    assert table["probability"][names].tolist() == pytest.approx(expected, abs=1e-6)
    (alone,) = answer_rows(model, photos[:1], Query.of({}), "")
    assert alone["probability"] != pytest.approx(expected[0], abs=0.01), "seen as a whole alone"


def test_a_photo_without_company_is_searched_by_the_detector(bursts, tmp_path):
    (bursts / "finding.json").write_bytes(SubjectCrop(0.0, detector="detector.onnx").written())
    box = np.array([[20 / 352, 100 / 240, 80 / 352, 140 / 240]])  # left, top, right, bottom
    # In a letterbox of 64 px, whose picture is 43.6 px high below a bar of 10.2.
    corners = box * [64, 43.6, 64, 43.6] + [0, 10.2, 0, 10.2]
    for score, expected in ((1, "red"), (0, "blue & co")):  # times the grey of the bar, 0.45
        known = network(filled(np.c_[centred(corners), [[score, 1, 0, 0]]]), scored=4)
        model = shutil.copytree(bursts, tmp_path / f"model {score}")
        (model / "detector.onnx").write_bytes(known)
        batch.predict(model, ["cards"], tmp_path / "journal", 1)
        rows = {row["path"]: row["species"] for row in batch.answers(tmp_path / "journal")}
        assert rows["cards/2/0.jpg"] == expected, "another detector answers anew"
        assert [rows[f"cards/1/{n}.jpg"] for n in range(4)] == ["red"] * 4


def test_a_killed_run_sees_the_same_bursts(bursts, tmp_path):
    journal = tmp_path / "journal"
    batch.predict(bursts, ["cards"], journal, 1)
    whole = journal.read_bytes()
    lines = whole.splitlines(keepends=True)
    for kept in range(1, 7):
        journal.write_bytes(b"".join(lines[:kept]) + lines[kept][:9])
        batch.predict(bursts, ["cards"], journal, 1)
        assert journal.read_bytes() == whole
    other = shutil.copytree(bursts, tmp_path / "other")
    (other / "finding.json").write_bytes(SubjectCrop(margin=0.5).written())
    batch.predict(other, ["cards"], journal, 1)
    assert journal.read_bytes().splitlines()[1:] != whole.splitlines()[1:]
