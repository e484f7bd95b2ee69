import io
import json

import numpy as np
import pandas as pd
import pytest
from pictures import noise
from PIL import Image, ImageEnhance, ImageFilter

from pipeline.dataset import image_statistics
from pipeline.ingest import inspection_cache, quality_flags


def row(picture, path="cat/a.png", box=None):
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    inspection = inspection_cache.inspect_file(file.getvalue(), 10**8)
    return pd.DataFrame([inspection._asdict() | {"path": path, "box": box}])


def flagged(picture, **said):
    return quality_flags.of(row(picture, **said)).item()


def test_good_photo_is_not_flagged():
    assert flagged(noise()) == ""


@pytest.mark.parametrize(
    ("flag", "change"),
    [
        ("blurred", lambda picture: picture.filter(ImageFilter.GaussianBlur(12))),
        ("too_dark", lambda picture: ImageEnhance.Brightness(picture).enhance(0.2)),
        ("too_bright", lambda picture: picture.point(lambda level: 200 + level // 5)),
        ("odd_aspect", lambda picture: picture.resize((400, 150))),
        ("odd_aspect", lambda picture: picture.resize((100, 250))),
    ],
)
def test_each_flag(flag, change):
    assert flag in flagged(change(noise())).split()


def test_plain_picture_has_one_colour():
    assert flagged(Image.new("RGB", (90, 90), (90, 120, 40))) == "blurred one_colour"


def test_small_animal_on_white_is_neither_bright_nor_plain():
    picture = Image.new("RGB", (200, 200), "white")
    picture.paste(noise((40, 40)), (80, 80))
    assert flagged(picture) == ""


@pytest.mark.parametrize(
    ("boxes", "flag"),
    [
        ([[0.1, 0.1, 0.1, 0.1]], "tiny_subject"),
        ([[0, 0, 0.02, 0.5], [0.3, 0.3, 0.01, 0.01]], "tiny_subject"),
        ([[0.1, 0.1, 0.1, 0.1], [0, 0, 0.2, 0.2]], ""),
        (None, ""),
    ],
)
def test_tiny_subject_is_told_by_the_largest_box(boxes, flag):
    assert flagged(noise(), box=boxes and json.dumps(boxes)) == flag


@pytest.mark.parametrize(
    ("path", "flag"),
    [
        ("cat/a.PNG", ""),
        ("cat/a.jpg", "wrong_extension"),
        ("cat/a.b.GIF", "wrong_extension"),
        ("cat/a", ""),
        ("cat.jpg/a", ""),
        ("cat/a.dat", ""),
    ],
)
def test_extension_is_held_against_the_bytes(path, flag):
    assert flagged(noise(), path=path) == flag


def test_file_that_is_no_photo_has_no_flags():
    rows = pd.concat([row(noise()), row(noise())], ignore_index=True).astype(object)
    rows.loc[1, ["format", "width", "height", *image_statistics.Measures._fields[:4]]] = None
    assert quality_flags.of(rows).tolist() == ["", ""]


@pytest.mark.slow
def test_real_photos_are_flagged_rarely_and_most_when_blurred(photos_folder):
    paths = sorted(photos_folder("main13").rglob("*.jpg"))[::40]
    pictures = [Image.open(path).convert("RGB") for path in paths]
    assert sum(flagged(picture) != "" for picture in pictures) <= 2
    spoiled = [
        flagged(picture.filter(ImageFilter.GaussianBlur(0.02 * min(picture.size))))
        for picture in pictures
    ]
    assert np.mean(["blurred" in flags for flags in spoiled]) > 0.75
