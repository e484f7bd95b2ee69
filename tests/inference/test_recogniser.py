import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from pipeline.inference import decoding
from pipeline.inference import recogniser as recogniser_module
from pipeline.inference.novelty import NoveltyDetector

LABELS = ["owl", "ant", "zebra", "bee", "cat"]  # in an order of their own
SAID = np.array([0.30, 0.06, 0.10, 0.50, 0.04])  # bee, owl, zebra, ant, cat
CALIBRATION = {"temperature": 0.5, "unknown_below": 0.6, "set_from": 0.2}
# Squared and divided by their sum, as a temperature of one half makes of them.
CALIBRATED = SAID**2 / (SAID**2).sum()


class Looks:
    """In place of a network: says the same of all photos, but for a bee that it sees by the light
    of the left upper quarter."""

    size = 32

    def __init__(self):
        self.seen, self.others = [], {}

    def outputs(self, picture):
        return {"probabilities": self.one(picture)} | self.others

    def one(self, picture):
        self.seen.append(picture)
        answer = SAID.copy()
        answer[3] *= picture[:16, :16].mean() / 255
        answer[0] += SAID[3] - answer[3]
        return answer


@pytest.fixture
def recogniser(tmp_path, monkeypatch):
    monkeypatch.setattr(recogniser_module, "Network", lambda model, workers=None: Looks())
    about = {"labels": LABELS, "fit": "pad", "max_pixels": 9000, "calibration": CALIBRATION}
    (tmp_path / "labels.json").write_text(json.dumps(about))
    (tmp_path / "model.tflite").write_bytes(b"")
    return recogniser_module.Recogniser(tmp_path)


def photo(size=(40, 40), colour="white"):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def test_the_answer_is_the_most_probable_species_with_its_calibrated_probability(recogniser):
    answer = recogniser.answer(photo())
    assert answer["species"] == "bee"
    assert answer["probability"] == pytest.approx(0.25 / 0.3552)
    assert [one["species"] for one in answer["top"]] == ["bee", "owl", "zebra"]
    expected = sorted(CALIBRATED, reverse=True)[:3]
    assert [one["probability"] for one in answer["top"]] == pytest.approx(expected)


@pytest.mark.parametrize("top_k", [1, 2, 4, 5])
def test_top_is_as_long_as_it_is_asked_to_be(recogniser, top_k):
    top = recogniser.answer(photo(), top_k=top_k)["top"]
    assert [one["species"] for one in top] == ["bee", "owl", "zebra", "ant", "cat"][:top_k]


@pytest.mark.parametrize(
    ("threshold", "unknown"), [(None, False), (0.70, False), (0.71, True), (0.0, False)]
)
def test_what_is_less_probable_than_the_threshold_is_unknown(recogniser, threshold, unknown):
    assert CALIBRATED.max() == pytest.approx(0.704, abs=0.001)
    assert recogniser.answer(photo(), threshold=threshold)["unknown"] is unknown


def test_by_default_the_threshold_is_the_fitted_one(recogniser):
    """Of a grey photo it says 0.25 for a bee and 0.55 for an owl: 0.79 of the squares."""
    assert recogniser.answer(photo(colour=(128, 128, 128)))["species"] == "owl"
    sides = {colour: recogniser.answer(photo(colour=colour)) for colour in ("#c8c8c8", "white")}
    for answer in sides.values():
        assert answer["unknown"] is (answer["probability"] < 0.6)
    assert [answer["unknown"] for answer in sides.values()] == [True, False]


def novel(species_at):
    """A detector of two features: a photo is unknown more than 3 from where the species is."""
    return NoveltyDetector(
        projection=np.eye(2),
        centre=np.zeros(2),
        species=np.array([species_at]),
        whole=np.zeros((2, 2)),
        standard=np.array([[0.0, 1.0], [0.0, 1.0]]),
        threshold=9.0,
    )


@pytest.fixture
def judging(recogniser, tmp_path):
    """The same with a detector and ImageNet's classifier, of which two classes are animals."""
    (tmp_path / "novelty.npz").write_bytes(novel([1.0, 1.0]).to_bytes())
    about = json.loads((tmp_path / "labels.json").read_text())
    about["imagenet"] = {"of": "a network", "animals": ["ox", "yak"], "animal_from": 0.3}
    (tmp_path / "labels.json").write_text(json.dumps(about))
    judging = recogniser_module.Recogniser(tmp_path)
    zeros = {"features": np.array([1.0, 1.0]), "logits": np.zeros(5)}
    judging.network.others = zeros | {"imagenet": np.array([2.0, 2.5, 1.0])}
    return judging


def test_a_photo_like_the_known_ones_is_answered_with_its_species(judging):
    answer = judging.answer(photo())
    assert (answer["kind"], answer["unknown"], answer["species"]) == ("species", False, "bee")
    assert "looks_like" not in answer


def test_a_photo_unlike_the_known_ones_is_of_an_unknown_animal(judging):
    """However probable the species is."""
    judging.network.others["features"] = np.array([1.0, 4.1])
    answer = judging.answer(photo())
    assert (answer["kind"], answer["unknown"]) == ("unknown_animal", True)
    assert answer["looks_like"] == "yak"
    assert answer["probability"] == pytest.approx(0.25 / 0.3552), "it is left alone"
    assert "9.61" in answer["reason"]


def test_a_photo_in_which_imagenet_sees_no_animal_shows_none(judging):
    judging.network.others["imagenet"] = np.log([0.1, 0.19, 0.71])
    answer = judging.answer(photo())
    assert (answer["kind"], answer["unknown"]) == ("no_animal", True)
    assert "0.29" in answer["reason"]
    judging.network.others["imagenet"] = np.log([0.1, 0.21, 0.69])
    assert judging.answer(photo())["kind"] == "species"


def test_a_threshold_stands_in_for_what_was_fitted(judging):
    judging.network.others["features"] = np.array([1.0, 9.0])
    assert judging.answer(photo(), threshold=0.5)["kind"] == "species"
    judging.network.others["features"] = np.array([1.0, 1.0])
    assert judging.answer(photo(), threshold=0.8)["kind"] == "unknown_animal"


def test_the_prediction_set_holds_what_is_probable_enough_surest_first(recogniser):
    assert CALIBRATED[0] == pytest.approx(0.253, abs=0.001)
    assert recogniser.answer(photo())["prediction_set"] == ["bee", "owl"]


def test_photos_are_made_square_as_in_training(recogniser):
    data = photo((60, 30), (10, 200, 90))
    recogniser.answer(data)
    (seen,) = recogniser.network.seen
    assert seen.shape == (32, 32, 3)
    assert (seen[:7] == 128).all(), "what was padded in training is padded here"
    assert (seen[10:22] == (10, 200, 90)).all()


def test_photos_with_more_pixels_than_training_allowed_are_refused(recogniser):
    with pytest.raises(decoding.PhotoError) as caught:
        recogniser.answer(photo((100, 91)))
    assert caught.value.reason == "too_many_pixels"
    assert recogniser.answer(photo((100, 90)))["species"]


def test_the_heat_map_is_of_the_species_that_is_answered(recogniser):
    answer = recogniser.answer(photo(), explained=True)
    png = Image.open(io.BytesIO(base64.b64decode(answer["explanation"])))
    alpha = np.asarray(png)[..., 3].astype(int)
    assert alpha[2:14, 2:14].min() > 50, "the bee is seen in the left upper quarter"
    assert alpha[20:, 20:].max() == 0


def test_light_is_told_if_it_is_asked_for(recogniser):
    assert recogniser.answer(photo(colour=(9, 77, 9)), light=True)["brightness"] == 77
    assert "brightness" not in recogniser.answer(photo())


BYTES = b"\x00\xff\xfb\xef"  # of which base64 uses / and +


@pytest.mark.parametrize(
    "given",
    [
        BYTES,
        bytearray(BYTES),
        "AP/77w==",
        "AP/77w",
        "AP_77w==",
        "AP_77w",
        "AP\n/77 w==\n",
        "data:image/png;base64,AP/77w==",
        "data:;base64,AP_77w",
        "DATA:image/jpeg;name=x;BASE64,AP/77w",
    ],
)
def test_bytes_come_as_such_or_in_base64(given):
    assert recogniser_module.bytes_of(given) == BYTES


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("AP8=A", "it is not base64"),
        ("?", "it is not base64"),
        ("A", "it is not base64"),
        (7, "it is int, not bytes or base64"),
        (None, "it is NoneType, not bytes or base64"),
        ("https://example.org/lion.jpg", "it is an address, not the photo"),
        ("s3://bucket/lion", "it is an address, not the photo"),
        ("file:///tmp/lion.jpg", "it is an address, not the photo"),
        ("/home/ann/lion.jpg", "it is a path, not the photo"),
        ("C:\\photos\\lion", "it is a path, not the photo"),
        ("./lion", "it is a path, not the photo"),
        ("lion.JPEG", "it is a path, not the photo"),
        ("ffd8ffe000104a46494600010100", "it is hexadecimal, not the photo"),
        ("0xFFD8FFE000104A464946", "it is hexadecimal, not the photo"),
        ("data:image/svg+xml,<svg/>", "it is a data URL that is not in base64"),
    ],
)
def test_what_is_neither_bytes_nor_base64_is_named(given, sentence):
    with pytest.raises(decoding.PhotoError) as caught:
        recogniser_module.bytes_of(given)
    assert caught.value.reason == "not_an_image"
    assert sentence in str(caught.value)


def test_photos_with_too_many_bytes_are_refused(monkeypatch):
    monkeypatch.setattr(recogniser_module, "MAX_BYTES", 3)
    assert recogniser_module.bytes_of(b"abc") == b"abc"
    for large in (b"abcd", "YWJjZA==", "A" * 100):
        with pytest.raises(decoding.PhotoError) as caught:
            recogniser_module.bytes_of(large)
        assert caught.value.reason == "too_many_bytes"
