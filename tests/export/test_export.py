import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shard_files
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from pipeline import cli
from pipeline.core.errors import UserError
from pipeline.export import docker, mobile, onnx, precision
from pipeline.inference import checksums
from pipeline.inference.crops import SubjectCrop
from pipeline.inference.litert import Network
from pipeline.inference.novelty import NoveltyDetector
from pipeline.inference.recogniser import Recogniser
from pipeline.networks import keras_setup, litert_export, served_outputs
from pipeline.networks.backbones import Classifier


@pytest.fixture(scope="module")
def final(recogniser):
    """A recogniser that carries its float network alone, as evaluate writes it."""
    assert [path.name for path in recogniser.glob("*.tflite")] == ["model.tflite"]
    return recogniser


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The working directory: three training pictures, red, green and blue, and a test picture."""
    monkeypatch.chdir(tmp_path)
    index = pd.DataFrame({"photo": list("abcd")})
    pictures = np.zeros((4, 32, 32, 3), np.uint8)
    pictures[[1, 2, 3], ..., [0, 1, 2]] = [[[200]], [[190]], [[180]]]
    pictures[0] = 255  # a test picture: calibrated on it, int8 would reach up to 255
    shard_files.write(tmp_path / "data/resized", index, pictures)
    split = pd.DataFrame({"photo": list("dbac"), "split": ["train", "train", "test", "train"]})
    split.to_parquet(tmp_path / "data/split.parquet")
    return tmp_path


@pytest.fixture
def exported(final, project, tmp_path, monkeypatch):
    def run(*arguments):
        words = ["animal", "export", str(tmp_path / "out"), "--model", str(final), *arguments]
        monkeypatch.setattr(sys, "argv", words)
        cli.main()
        return tmp_path / "out"

    return run


@pytest.mark.slow
def test_a_phone_gets_both_networks_and_what_to_make_of_their_answers(exported, final):
    folder = exported()
    about = json.loads((folder / "metadata.json").read_text())
    assert about["labels"] == (folder / "labels.txt").read_text().splitlines()
    assert about["input"]["shape"] == [1, 32, 32, 3]
    assert about["calibrated_for"] == "float"
    assert (folder / "float.tflite").read_bytes() == (final / "model.tflite").read_bytes()
    assert (folder / "int8.tflite").read_bytes() != (final / "model.tflite").read_bytes()
    assert {name: checksums.sha256(folder / name) for name in about["sha256"]} == about["sha256"]
    assert set(about["sha256"]) == {"float.tflite", "int8.tflite"}


def test_int8_is_calibrated_on_the_training_pictures(exported):
    folder = exported()
    tensors = Interpreter(str(folder / "int8.tflite")).get_tensor_details()
    (picture,) = (
        tensor
        for tensor in tensors
        if tensor["dtype"] == np.int8 and tuple(tensor["shape"]) == (1, 32, 32, 3)
    )
    assert 255 * picture["quantization"][0] == pytest.approx(200, abs=2)


def test_float_alone_needs_no_pictures(exported, project, capsys):
    (project / "data/split.parquet").unlink()
    with pytest.raises(SystemExit) as raised:
        exported()
    error = str(raised.value.code) + capsys.readouterr().err
    assert "there is no data/split.parquet: run `dvc repro split`" in error
    assert "--float" in error
    assert not (project / "out").exists()
    folder = exported("--float")
    assert sorted(path.name for path in folder.glob("*.tflite")) == ["float.tflite"]
    assert "int8" not in (folder / "README.md").read_text()


@pytest.mark.slow
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


@pytest.fixture(scope="module")
def judging(final, tmp_path_factory):
    """The same with ImageNet's classifier, to which green is a thing, and a detector."""
    keras_model = keras_setup.keras().saving.load_model(final / "model.keras")
    kernel = np.zeros((3, 1000), np.float32)
    kernel[1, 500] = 0.1
    classifier = Classifier("it", kernel, np.zeros(1000, np.float32))
    folder = Path(shutil.copytree(final, tmp_path_factory.mktemp("judging") / "final"))
    network = litert_export.to_litert(served_outputs.answering(keras_model, classifier))
    (folder / "model.tflite").write_bytes(network)
    about = json.loads((folder / "labels.json").read_text())
    about["imagenet"] = {"of": "it", "animals": ["ox"] * 398, "animal_from": 0.3}
    (folder / "labels.json").write_text(json.dumps(about))
    species = np.array([[250.0, 0, 0], [0, 0, 250]])
    standard = np.array([[1.0, 2.0], [0.0, 300.0]])
    detector = NoveltyDetector(np.eye(3), np.zeros(3), species, np.eye(3) / 9, standard, 9.0)
    (folder / "novelty.npz").write_bytes(detector.to_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("colour", "kind"), [("red", "species"), ("green", "no_animal"), ("#820082", "unknown_animal")]
)
def test_the_code_on_the_page_tells_what_is_unknown(judging, tmp_path, colour, kind):
    mobile.for_phones(judging, tmp_path, {"float": (judging / "model.tflite").read_bytes()})
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    Image.new("RGB", (60, 40), colour).save(tmp_path / "photo.jpg")
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    said = Recogniser(judging, workers=1).answer((tmp_path / "photo.jpg").read_bytes())
    assert said["kind"] == kind
    told = said["species"] if kind == "species" else kind.replace("_", " ")
    assert done.stdout.rsplit(maxsplit=1)[0] == told


@pytest.mark.slow
def test_where_int8_serves_the_other_one_is_float(exported, final, project, tmp_path):
    int8 = exported() / "int8.tflite"
    swapped = tmp_path / "swapped"
    shutil.copytree(final, swapped)
    shutil.copyfile(int8, swapped / "model.tflite")
    assert precision.served(swapped) == "int8"
    networks = {name: precision.network(swapped, name) for name in ("float", "int8")}
    assert networks["int8"] == int8.read_bytes()
    red = np.full((32, 32, 3), (255, 0, 0), np.uint8)
    answers, expected = (
        Network(networks["float"]).one(red),
        Network.one(Network((final / "model.tflite").read_bytes()), red),
    )
    np.testing.assert_allclose(answers, expected, rtol=1e-6)
    (tmp_path / "page").mkdir()
    mobile.for_phones(swapped, tmp_path / "page", networks)
    about = json.loads((tmp_path / "page/metadata.json").read_text())
    assert about["calibrated_for"] == "int8"


def test_a_phone_is_told_what_to_cut_out_if_the_network_learned_from_cut_outs(final, tmp_path):
    moving = Path(shutil.copytree(final, tmp_path / "moving"))
    (moving / "finding.json").write_bytes(SubjectCrop(margin=0.25).written())
    boxed = Path(shutil.copytree(final, tmp_path / "boxed"))
    (boxed / "finding.json").write_bytes(SubjectCrop(margin=0.25, find="boxes").written())
    several = Path(shutil.copytree(final, tmp_path / "several"))
    crop = SubjectCrop(margin=0.25, views=True, detector="detector.tflite")
    (several / "finding.json").write_bytes(crop.written())
    networks = {"float": (final / "model.tflite").read_bytes()}
    part, wider = {"margin": 0.25, "least": 0.13}, {"margin": 0.5, "least": 0.3}
    none, carried = {"detector": None}, {"detector": "detector.tflite"}
    for recogniser, said in (
        (moving, {"find": "motion", "whole_too": False, "parts": [part]} | none),
        (boxed, {"find": "boxes", "whole_too": False, "parts": [part | {"least": 0.0}]} | none),
        (several, {"find": "motion", "whole_too": True, "parts": [part, wider]} | carried),
        (final, None),
    ):
        page = tmp_path / f"page of {recogniser.name}"
        page.mkdir()
        mobile.for_phones(recogniser, page, networks)
        assert json.loads((page / "metadata.json").read_text())["input"]["cut_out"] == said
        text = " ".join((page / "README.md").read_text().split())
        assert ("widened by 0.25 of it" in text) == (said is not None)
        assert ("boxes of the collection" in text) == (recogniser is boxed)
        assert ("widened by 0.5 and at least 0.3" in text) == (recogniser is several)
        assert ("carries it as `detector.tflite`" in text) == (recogniser is several)


def test_pictures_of_another_size_do_not_calibrate(final, project):
    shutil.rmtree(project / "data/resized")
    black = np.zeros((4, 16, 16, 3), np.uint8)
    shard_files.write(project / "data/resized", pd.DataFrame({"photo": list("abcd")}), black)
    with pytest.raises(UserError, match="have 16 px and this network takes 32 px"):
        precision.network(final, "int8")


def test_without_a_keras_network_nothing_else_is_made(final, project, tmp_path):
    alone = tmp_path / "folder/alone"
    alone.mkdir(parents=True)
    shutil.copyfile(final / "model.tflite", alone / "model.tflite")
    with pytest.raises(UserError, match=r"there is no model\.keras in"):
        precision.network(alone, "int8")


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
    monkeypatch.setattr(onnx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[onnx\]'"):
        onnx.to_onnx(final, tmp_path / "model.onnx", b"")


def test_an_image_wants_a_registered_version(final, tmp_path):
    with pytest.raises(UserError, match="is no registered version"):
        docker.image_context(final, tmp_path / "image")
