"""Boxes that were drawn before a photo was turned upright."""

import json

import numpy as np
import pandas as pd
import pytest
from listed import list_files
from PIL import Image

from pipeline.core import parallel
from pipeline.inference import decoding
from pipeline.sources import annotations, reader, sides
from pipeline.sources.choice import Rules

WIDTH, HEIGHT = 120, 80
BOX = (20, 10, 40, 25)  # of the white part of the stored pixels


def stored(path, orientation, format="PNG"):
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x, y, w, h = BOX
    pixels[y : y + h, x : x + w] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, format=format, exif=exif)


def row(path, width, height):
    x, y, w, h = BOX
    return annotations.frame(
        **pd.DataFrame([{"path": path, "species": "fox", "x": x, "y": y, "w": w, "h": h,
                         "width": width, "height": height}])
    )  # fmt: skip


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_box_of_the_stored_pixels_lies_on_the_animal_once_the_photo_is_upright(
    tmp_path, orientation, format
):
    stored(tmp_path / "1.img", orientation, format)
    rows, others = sides.compare(row("1.img", WIDTH, HEIGHT), tmp_path)
    assert others.empty
    ((x, y, w, h),) = annotations.boxes(rows)["1.img"]
    upright = decoding.inspect((tmp_path / "1.img").read_bytes())
    assert (upright.width, upright.height) == (HEIGHT, WIDTH)
    seen = np.asarray(decoding.square((tmp_path / "1.img").read_bytes(), 240, "stretch"))[..., 0]
    down, across = np.nonzero(seen > 127)
    white = [across.min(), down.min(), np.ptp(across) + 1, np.ptp(down) + 1]
    assert np.array([x, y, w, h]) * 240 == pytest.approx(white, abs=1.5)


@pytest.mark.parametrize(
    ("orientation", "claimed", "differs"),
    [
        (1, (WIDTH, HEIGHT), False),
        (1, (3 * WIDTH, 3 * HEIGHT), False),  # annotated before it was made smaller
        (1, (HEIGHT, WIDTH), True),  # turned, and nothing says which way
        (6, (HEIGHT, WIDTH), False),  # annotated upright
        (1, (WIDTH, WIDTH), True),
    ],
)
def test_other_sides_are_named_and_their_boxes_left(tmp_path, orientation, claimed, differs):
    stored(tmp_path / "1.png", orientation)
    before = row("1.png", *claimed)
    rows, others = sides.compare(before, tmp_path)
    assert list(others) == ["1.png"] * differs
    if differs:
        assert annotations.boxes(rows).empty
        assert rows["species"].tolist() == ["fox"]
    else:
        pd.testing.assert_frame_equal(rows, before)


@pytest.fixture
def coco(tmp_path):
    """A COCO file of three photos: one turned, one of other sides, one as it was annotated."""
    for name, orientation in (("1.png", 6), ("2.png", 1), ("3.png", 1)):
        stored(tmp_path / name, orientation)
    claims = {"1.png": (WIDTH, HEIGHT), "2.png": (HEIGHT, WIDTH), "3.png": (WIDTH, HEIGHT)}
    document = {
        "images": [{"id": n, "file_name": n, "width": w, "height": h}
                   for n, (w, h) in claims.items()],
        "annotations": [{"image_id": n, "category_id": i % 2, "bbox": list(BOX)}
                        for i, n in enumerate(claims)],
        "categories": [{"id": 0, "name": "fox"}, {"id": 1, "name": "owl"}],
    }  # fmt: skip
    (tmp_path / "coco.json").write_text(json.dumps(document))
    return tmp_path


def test_photos_of_a_coco_file_with_other_sides_are_marked(coco):
    rows = list_files(coco).set_index("path")
    assert rows["other_sides"].to_dict() == {"1.png": False, "2.png": True, "3.png": False}
    x, y, w, h = BOX
    boxes = rows["boxes"].dropna()
    assert list(boxes.index) == ["1.png", "3.png"]
    turned = [(HEIGHT - y - h) / HEIGHT, x / WIDTH, h / HEIGHT, w / WIDTH]
    assert boxes["1.png"][0] == pytest.approx(turned, abs=1e-6)
    assert boxes["3.png"][0] == pytest.approx(
        [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT], abs=1e-6
    )


def test_photos_are_opened_by_several_processes_which_change_nothing(
    coco, tmp_path_factory, monkeypatch
):
    used, real = [], parallel.map_ordered

    def map_ordered(function, items, jobs):
        items = list(items)
        used.append((jobs, items))
        return real(function, items, jobs)

    monkeypatch.setattr(parallel, "map_ordered", map_ordered)
    monkeypatch.setattr(sides, "_PHOTOS_A_JOB", 2, raising=False)
    folder = tmp_path_factory.mktemp("ingested")
    several = reader.gather(str(coco), folder / "files", Rules(), 2).files
    assert used == [(2, [["1.png", "2.png"], ["3.png"]])]
    pd.testing.assert_frame_equal(several, list_files(coco))


def test_opening_photos_is_seen(coco, capsys):
    list_files(coco)
    assert "compare sides: 3 photos in " in capsys.readouterr().err
    (coco / "coco.json").write_text((coco / "coco.json").read_text().replace("bbox", "box"))
    list_files(coco)
    assert "compare sides" not in capsys.readouterr().err, "there are no boxes to compare"
