"""A recogniser that carries a detector finds the animal in a photo alone."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_detectors import SIDE, centred, filled, network
from PIL import Image

from pipeline.core import tracking
from pipeline.inference import checksums, detections, motion
from pipeline.inference.crops import SubjectCrop
from pipeline.inference.query import WHOLE_BOX, Query, answer_rows
from pipeline.inference.recogniser import Recogniser
from pipeline.ingest import detections as ingest
from pipeline.register import packaging

BOX = [160 / 352, 100 / 240, 60 / 352, 40 / 240]  # of the block in the middle of a photo
HEIGHT = SIDE * 240 / 352  # of the photo in the letterbox, in px


def photo(colour=(255, 0, 0), left=160):
    """A blue scene with a block of 60 x 40 px, too small to make the whole red."""
    picture = np.zeros((240, 352, 3), np.uint8)
    picture[..., 2] = np.random.default_rng(0).integers(100, 160, (240, 352))
    picture[100:140, left : left + 60] = colour
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def boxing(score):
    """A network that boxes the block, with `score` where the middle of a photo is red."""
    x, y, width, height = BOX
    corners = np.array([[x, y, x + width, y + height]]) * [SIDE, HEIGHT, SIDE, HEIGHT]
    corners += [0, (SIDE - HEIGHT) / 2] * 2
    rows = filled(np.c_[centred(corners), [[score, 1, 0, 0]]])
    return network(rows, probe=(0, SIDE // 2, SIDE // 2 + 1), scored=4)


@pytest.fixture
def carrying(recogniser, tmp_path):
    """Writes a recogniser of views with a detector."""

    def carrying(score=0.9, **crop):
        folder = Path(shutil.copytree(recogniser, tmp_path / f"{score} {crop}", dirs_exist_ok=True))
        crop = SubjectCrop(0.0, views=True, detector="detector.onnx", **crop)
        (folder / "finding.json").write_bytes(crop.written())
        (folder / "detector.onnx").write_bytes(boxing(score))
        return folder

    return carrying


def reds(model, images, **params):
    rows = answer_rows(model, images, Query.of({"top_k": 2} | params), "")
    return [{o["species"]: o["probability"] for o in row["top"]}["red"] for row in rows]


def test_a_photo_alone_is_seen_as_if_the_request_had_boxed_its_animal(carrying, recogniser):
    model, whole = Recogniser(carrying(), workers=1), Recogniser(recogniser, workers=1)
    images = [photo(), photo((0, 0, 250))]
    found, boxed = reds(model, images), reds(model, images, boxes=[*BOX, *WHOLE_BOX])
    assert found == pytest.approx(boxed, rel=0.02)  # the box is found to a few pixels
    unseen = reds(whole, images)
    assert found[0] > 2 * unseen[0] and found[1] == pytest.approx(unseen[1])
    assert reds(model, images, boxes=WHOLE_BOX * 2) == pytest.approx(unseen)


def test_a_box_that_ingest_would_not_write_is_not_seen(carrying, recogniser):
    surer, less_sure = (Recogniser(carrying(score), workers=1) for score in (0.22, 0.18))
    (unseen,) = reds(Recogniser(recogniser, workers=1), [photo()])
    assert reds(surer, [photo()])[0] > 2 * unseen
    assert reds(less_sure, [photo()]) == pytest.approx([unseen])


def test_in_a_burst_the_box_is_what_the_detector_and_motion_say_together(carrying):
    """Nothing moves, or what moves is another place than that of the unsure box."""
    still = [photo()] * 4
    (found,) = reds(Recogniser(carrying(), workers=1), still[:1])
    for find in ("motion", "boxes"):
        model = Recogniser(carrying(find=find), workers=1)
        assert reds(model, still, burst=True) == pytest.approx([found] * 4), find
    walking = [photo(left=left) for left in (20, 90, 160, 230)]
    moving = Recogniser(carrying(0.3), workers=1)
    views = [seen[1] for seen in moving.views(walking)]
    assert np.diff([x + width / 2 for x, _, width, _ in views]) * 352 == pytest.approx(
        [70] * 3, abs=6
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_first_box_is_that_of_ingest(seed):
    rng = np.random.default_rng(seed)

    def some(number):
        start = rng.uniform(0, 0.6, (number, 2))
        return np.column_stack([start, rng.uniform(0.1, 0.4, (number, 2))])

    scores = np.sort(rng.uniform(0.001, 0.2, rng.integers(0, 4)))[::-1]
    moving = [motion.Box(*box, s) for box, s in zip(some(len(scores)), scores, strict=True)]
    detected = some(rng.integers(0, 4))
    detected = np.column_stack([detected, rng.uniform(0.1, 0.9, len(detected))])
    fields = list(motion.Box._fields)
    of_motion = pd.DataFrame(moving, [0] * len(moving), fields, dtype="float64")
    of_motion["score"] = motion.probability(of_motion["score"].to_numpy())
    of_network = pd.DataFrame(detected, [0] * len(detected), fields)
    sources = {"motion": of_motion, "detector": of_network}
    (text,) = ingest.columns(sources, pd.Index([0]), ingest.LEAST)["detections"]
    expected = None if pd.isna(text) else json.loads(text)[0]
    assert detections.first(moving, detected) == expected
    best = list(moving[0][:4]) if moving else None
    assert detections.first(moving, None) == best


def test_a_version_carries_its_detector_and_names_what_that_needs(carrying, recogniser, tmp_path):
    described = tracking.mlflow().models.Model(model_id="m-0")
    saved, folder = tmp_path / "version", carrying()
    (tmp_path / "about").mkdir()
    learned_from = pd.Series(["a" * 64])
    packaging.Flavors.save_model(str(saved), described, folder, learned_from, tmp_path / "about")
    requirements = (saved / "requirements.txt").read_text()
    assert "onnxruntime==" in requirements and "opencv" not in requirements
    model = tracking.mlflow().pyfunc.load_model(str(saved))
    answered = model.predict(pd.DataFrame({"image": [photo()]}), params={"top_k": 2})
    expected = reds(Recogniser(folder, workers=1), [photo()])
    top = {one["species"]: one["probability"] for one in answered["top"][0]}
    assert top["red"] == pytest.approx(expected[0])
    (carried,) = saved.rglob("artifacts/recogniser/detector.onnx")
    carried.write_bytes(boxing(0.1))
    with pytest.raises(checksums.ChecksumMismatch, match=r"detector\.onnx was altered"):
        checksums.verify(saved)
    without = packaging._requirements(recogniser)
    assert not any("onnxruntime" in one or "opencv" in one for one in without)
