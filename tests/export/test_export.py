import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.export import docker, mobile, onnx
from pipeline.inference.recogniser import Recogniser
from pipeline.networks import keras_setup, litert_export


@pytest.fixture(scope="module")
def final(recogniser, tmp_path_factory):
    """`recogniser` with its int8 network beside it."""
    folder = tmp_path_factory.mktemp("final")
    model = keras_setup.keras().saving.load_model(recogniser / "model.keras")
    colours = np.eye(3, dtype=np.uint8)[:, None, None] * 255
    pictures = np.broadcast_to(colours, (3, 32, 32, 3))  # red, green, blue
    for path in recogniser.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "int8.tflite").write_bytes(litert_export.to_litert(model, pictures))
    return folder


@pytest.fixture
def exported(final, tmp_path, monkeypatch):
    def run(*arguments):
        words = ["animal", "export", str(tmp_path / "out"), "--model", str(final), *arguments]
        monkeypatch.setattr(sys, "argv", words)
        cli.main()
        return tmp_path / "out"

    return run


def test_a_phone_gets_both_networks_and_what_to_make_of_their_answers(exported, final):
    folder = exported()
    about = json.loads((folder / "metadata.json").read_text())
    assert about["labels"] == (folder / "labels.txt").read_text().splitlines()
    assert about["input"]["shape"] == [1, 32, 32, 3]
    assert about["calibrated_for"] == "float"
    assert (folder / "float.tflite").read_bytes() == (final / "model.tflite").read_bytes()
    assert (folder / "int8.tflite").read_bytes() == (final / "int8.tflite").read_bytes()


def test_the_code_on_the_page_runs_and_says_what_the_recogniser_says(exported, final):
    folder = exported()
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    recogniser = Recogniser(final, workers=1)
    for colour in ("red", "blue"):
        Image.new("RGB", (60, 40), colour).save(folder / "photo.jpg")
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
        )
        said = recogniser.answer((folder / "photo.jpg").read_bytes())
        label, probability = done.stdout.rsplit(maxsplit=1)
        assert label == said["species"]
        assert float(probability) == pytest.approx(said["probability"], abs=0.02)  # int8


def test_where_int8_serves_the_other_one_is_float(final, tmp_path):
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    names = {"model.tflite": "float.tflite", "int8.tflite": "model.tflite"}
    for path in final.iterdir():
        (swapped / names.get(path.name, path.name)).write_bytes(path.read_bytes())
    (tmp_path / "out").mkdir()
    mobile.for_phones(swapped, tmp_path / "out")
    assert (tmp_path / "out/int8.tflite").read_bytes() == (final / "int8.tflite").read_bytes()
    about = json.loads((tmp_path / "out/metadata.json").read_text())
    assert about["calibrated_for"] == "int8"


def test_one_precision_is_not_enough(recogniser, tmp_path):
    with pytest.raises(UserError, match="one precision only"):
        mobile.for_phones(recogniser, tmp_path)


@pytest.mark.slow
def test_onnx_agrees_with_litert(exported, capsys):
    pytest.importorskip("tf2onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = exported("--onnx")
    proof = json.loads((folder / "onnx.json").read_text())
    assert proof["same_label"] == proof["pictures"] == 64
    assert proof["largest_difference"] < 1e-5
    assert "same label on 64 of 64 pictures" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    red = np.full((2, 32, 32, 3), (255, 0, 0), np.float32)
    (answers,) = session.run(None, {session.get_inputs()[0].name: red})
    assert answers.argmax(axis=1).tolist() == [1, 1]


def test_what_onnx_lacks_is_named(final, tmp_path, monkeypatch):
    monkeypatch.setattr(mobile.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[onnx\]'"):
        onnx.to_onnx(final, tmp_path / "model.onnx")


def test_an_image_wants_a_registered_version(final, tmp_path):
    with pytest.raises(UserError, match="is no registered version"):
        docker.image_context(final, tmp_path / "image")
