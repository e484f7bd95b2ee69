"""A request whose rows are the frames of one burst."""

import base64
import io
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.inference.crops import SubjectCrop
from pipeline.inference.query import Query, QueryError, answer_rows
from pipeline.inference.recogniser import Recogniser


def frame(number, colour=(255, 0, 0)):
    """A blue scene through which a block walks, too small to make the whole red."""
    picture = np.zeros((240, 352, 3), np.uint8)
    picture[..., 2] = np.random.default_rng(0).integers(100, 160, (240, 352))
    picture[100:140, 20 + 70 * number : 80 + 70 * number] = colour
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def moving(recogniser, tmp_path_factory):
    """A recogniser that sees what moves."""
    folder = tmp_path_factory.mktemp("moving") / "model"
    shutil.copytree(recogniser, folder)
    (folder / "finding.json").write_bytes(SubjectCrop(margin=0.0).written())
    return Recogniser(folder, workers=2)


def answers(recogniser, images, **params):
    return answer_rows(recogniser, images, Query.of(params), "7")


def test_what_moves_in_the_rows_is_seen_if_they_are_one_burst(moving, recogniser):
    frames = [frame(n) for n in range(4)]
    frames[1] = base64.b64encode(frames[1]).decode()
    assert [row["species"] for row in answers(moving, frames)] == ["blue & co"] * 4
    rows = answers(moving, frames, burst=True, top_k=1)
    assert [row["species"] for row in rows] == ["red"] * 4
    assert all(len(row["top"]) == 1 for row in rows)
    whole = Recogniser(recogniser, workers=1)  # it learned from whole photos
    assert [row["species"] for row in answers(whole, frames, burst=True)] == ["blue & co"] * 4


def test_a_recogniser_of_views_answers_by_the_mean_over_the_photo_and_its_parts(
    recogniser, tmp_path
):
    shutil.copytree(recogniser, tmp_path / "views")
    (tmp_path / "views/finding.json").write_bytes(SubjectCrop(0.0, views=True).written())
    several, whole = (Recogniser(folder, workers=1) for folder in (tmp_path / "views", recogniser))
    pixels = np.asarray(Image.open(io.BytesIO(frame(2))))
    # The block has 60 x 40 px around (190, 120): squares of 60 px, and of twice as many.
    views = [pixels, pixels[90:150, 160:220], pixels[60:180, 130:250]]
    files = [io.BytesIO() for _ in views]
    for view, file in zip(views, files, strict=True):
        Image.fromarray(view).save(file, "PNG")
    alone = answers(whole, [file.getvalue() for file in files])
    reds = np.array(
        [{one["species"]: one["probability"] for one in row["top"]}["red"] for row in alone]
    )
    odds = np.exp(np.log(reds / (1 - reds)).mean())
    box = [160 / 352, 100 / 240, 60 / 352, 40 / 240]
    (row,) = answers(several, [frame(2)], boxes=box)
    red = {one["species"]: one["probability"] for one in row["top"]}["red"]
    assert red == pytest.approx(odds / (1 + odds), rel=1e-4)
    assert reds.max() - reds.min() > 0.5, "the views differ"
    frames = [frame(n) for n in range(4)]
    assert answers(several, frames) == answers(whole, frames), "a photo alone is seen whole"
    found = {
        one["species"]: one["probability"] for one in answers(several, frames, burst=True)[2]["top"]
    }
    assert found["red"] > 2 * reds[0], "what moves in a burst is seen"


def test_each_row_has_what_all_show_together(recogniser):
    shown = [(200, 0, 0), (0, 0, 190), (0, 0, 180)]
    images = []
    for colour in shown:
        file = io.BytesIO()
        Image.new("RGB", (40, 40), colour).save(file, "PNG")
        images.append(file.getvalue())
    rows = answers(Recogniser(recogniser, workers=1), images, burst=True)
    logits = np.array([[-0.01 * (r - b), 0.01 * (r - b)] for r, _, b in shown])
    powers = np.exp(logits / 0.5)
    logs = np.log(powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    expected = np.exp(logs) / np.exp(logs).sum()
    assert {row["event_species"] for row in rows} == {"blue & co"}
    assert rows[0]["event_probability"] == pytest.approx(expected[0], rel=1e-4)
    assert rows[0]["event_unknown"] == bool(expected[0] < 0.7)
    assert [row["species"] for row in rows] == ["red", "blue & co", "blue & co"]


def test_a_frame_that_cannot_be_read_is_said_and_the_others_stay_a_burst(moving):
    images = [frame(0), b"no picture", frame(1), frame(2)]
    with pytest.raises(QueryError, match="row 1"):
        answers(moving, images, burst=True)
    rows = answers(moving, images, burst=True, on_error="row")
    assert [row.get("species") for row in rows] == ["red", None, "red", "red"]
    assert "event_species" not in rows[1]
    (only,) = answers(moving, [b"no picture"], burst=True, on_error="row")
    assert "event_species" not in only


def test_a_burst_has_its_limit_and_its_type():
    query = Query.of({"burst": True})
    query.require_rows(64)
    with pytest.raises(QueryError, match="65 rows; at most 64 can be one burst"):
        query.require_rows(65)
    Query.of({}).require_rows(65)
    with pytest.raises(QueryError, match="burst is 1; it must be bool"):
        Query.of({"burst": 1})


BOX = [20 / 352, 100 / 240, 60 / 352, 40 / 240]


def test_a_given_box_is_cut_out_as_for_training(moving, recogniser, tmp_path):
    """One frame alone, in which nothing can be seen to move; the other says that it has no box."""
    shown = answers(moving, [frame(0), frame(0)], boxes=[*BOX, 0, 0, 1, 1])
    assert [row["species"] for row in shown] == ["red", "blue & co"]
    margin = 0.25
    shutil.copytree(recogniser, tmp_path / "boxed")
    (tmp_path / "boxed/finding.json").write_bytes(SubjectCrop(margin, find="boxes").written())
    boxed, whole = (Recogniser(folder, workers=1) for folder in (tmp_path / "boxed", recogniser))
    # A square of 1.5 times the block's 60 px, around its middle and moved into the photo.
    pixels = np.asarray(Image.open(io.BytesIO(frame(0))))[75:165, 5:95]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    (expected,) = answers(whole, [file.getvalue()])
    assert answers(boxed, [frame(0)], boxes=BOX) == [expected]
    assert answers(whole, [frame(0)], boxes=BOX) == answers(whole, [frame(0)])
    frames = [frame(n) for n in range(4)]
    assert {row["species"] for row in answers(boxed, frames, burst=True)} == {"blue & co"}


def test_a_box_is_of_the_photo_as_people_see_it(moving):
    """The camera lay on its side, and says so."""
    upright = Image.open(io.BytesIO(frame(0)))
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(file, "PNG", exif=exif)
    (expected,), (answer,) = (
        answers(moving, [photo], boxes=BOX) for photo in (frame(0), file.getvalue())
    )
    assert answer == expected


@pytest.mark.parametrize(
    ("boxes", "sentence"),
    [
        ([0, 0, 1], "boxes has 3 numbers for 1 rows; it must have four a row"),
        ([0, 0, 1, 1] * 2, "boxes has 8 numbers for 1 rows"),
        ([0.5, 0, 0.6, 1], "the box of row 0 is .*inside it"),
        ([-0.1, 0, 0.6, 1], "the box of row 0"),
        ([0, 0, 0, 1], "the box of row 0"),
        ([0, 0, float("nan"), 1], "the box of row 0"),
        ("0 0 1 1", "boxes is '0 0 1 1'; it must be list"),
        ([[0, 0, 1, 1]], "boxes is .*; it must be list"),
    ],
)
def test_a_box_that_cannot_be_is_refused_by_a_sentence(boxes, sentence):
    with pytest.raises(QueryError, match=sentence):
        Query.of({"boxes": boxes}).require_rows(1)
