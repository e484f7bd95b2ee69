import json

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.inference import checksums
from pipeline.inference.litert import Network
from pipeline.networks import keras_setup, litert_export

SIZE = 32


def network(seed=0):
    keras = keras_setup.keras()
    if seed is not None:
        keras_setup.seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def some():
    return np.random.default_rng(0).integers(0, 256, (20, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def pictures():
    return some()


@pytest.mark.slow
def test_keras_and_litert_agree(model, pictures):
    answers, expected = (
        Network(litert_export.to_litert(model))(pictures),
        model(pictures).numpy(),
    )
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    agreement = litert_export.compare(expected, answers)
    assert agreement.same_label == 20
    assert agreement.largest_difference < 1e-5


@pytest.mark.slow
def test_an_int8_network_is_smaller_and_says_nearly_the_same(model, pictures):
    from ai_edge_litert.interpreter import Interpreter

    exported = litert_export.to_litert(model, pictures)
    interpreter = Interpreter(model_content=exported)
    maps = [t for t in interpreter.get_tensor_details() if len(t["shape"]) == 4]
    assert [t["dtype"] for t in maps].count(np.float32) == 1  # the picture that comes in
    answers = Network(exported)(pictures)
    np.testing.assert_allclose(answers, model(pictures).numpy(), atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("int8", [False, True])
def test_every_shape_is_known_as_browsers_need_it(model, pictures, int8):
    from ai_edge_litert.interpreter import Interpreter

    exported = litert_export.to_litert(model, pictures if int8 else None)
    shapes = [
        d["shape_signature"] for d in Interpreter(model_content=exported).get_tensor_details()
    ]
    assert shapes[0].tolist() == [1, SIZE, SIZE, 3]
    assert all((shape > 0).all() for shape in shapes)


@pytest.mark.slow
def test_a_network_is_exported_once_and_other_weights_again(model, tmp_path, monkeypatch):
    first = litert_export.cached(model, tmp_path)
    exported = []
    monkeypatch.setattr(litert_export, "to_litert", lambda m: exported.append(m) or b"anew")
    assert litert_export.cached(model, tmp_path) == first
    kept = model.get_weights()
    model.set_weights([weight + 1 for weight in kept])
    assert litert_export.cached(model, tmp_path) == b"anew"
    model.set_weights(kept)
    assert len(exported) == 1


def test_a_recogniser_is_written_with_all_that_its_answers_need(tmp_path):
    (tmp_path / "trained.keras").write_bytes(b"keras")
    calibration = {"temperature": 1.5, "unknown_below": 0.4, "set_from": 0.1}
    labels = ["zebra", "ant", "owl"]  # in the order of the answers, which is no alphabet's
    about = litert_export.Description(tuple(labels), "stretch", 9000, calibration)
    beside = {"int8.tflite": b"small"}
    litert_export.write(tmp_path / "final", tmp_path / "trained.keras", b"litert", about, beside)
    folder = tmp_path / "final"
    contents = {"model.keras": b"keras", "model.tflite": b"litert", "int8.tflite": b"small"}
    assert {name: (folder / name).read_bytes() for name in contents} == contents
    assert json.loads((folder / "labels.json").read_text()) == {
        "labels": labels,
        "fit": "stretch",
        "max_pixels": 9000,
        "calibration": calibration,
        "imagenet": None,
    }
    checksums.verify(folder)
    (folder / "model.tflite").write_bytes(b"Litert")
    with pytest.raises(checksums.ChecksumMismatch, match=r"model\.tflite"):
        checksums.verify(folder)


def test_networks_that_disagree_are_refused():
    left = np.array([[0.6, 0.4], [0.3, 0.7]])
    with pytest.raises(UserError, match="same label on 1 of 2"):
        litert_export.compare(left, np.array([[0.6, 0.4], [0.6, 0.4]]))
    near = np.array([[0.5002, 0.4998], [0.3, 0.7]])
    with pytest.raises(UserError, match="same label on 1 of 2"):
        litert_export.compare(near, np.array([[0.4998, 0.5002], [0.3, 0.7]]))
    with pytest.raises(UserError, match="disagree"):
        litert_export.compare(left, np.array([[0.61, 0.39], [0.3, 0.7]]))
    assert litert_export.compare(left, left).largest_difference == 0


@pytest.mark.slow
def test_many_threads_get_the_answers_that_one_gets(model, pictures):
    from concurrent.futures import ThreadPoolExecutor

    network = Network(litert_export.to_litert(model), workers=2)
    alone = np.stack([network.one(picture) for picture in pictures])
    with ThreadPoolExecutor(8) as threads:
        together = np.stack(list(threads.map(network.one, np.repeat(pictures, 10, axis=0))))
    np.testing.assert_array_equal(together, np.repeat(alone, 10, axis=0))
