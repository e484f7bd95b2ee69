import json

import numpy as np
import pytest
from pictures import noise
from PIL import Image

from pipeline.dataset import image_statistics


def test_measures_are_what_they_are_called():
    picture = noise((100, 80))
    seen = image_statistics.measure(picture)
    grey = np.asarray(picture.convert("L"), dtype=float)
    inner = grey[1:-1, 1:-1]
    edges = 4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    assert seen.sharpness == pytest.approx(edges.var())
    assert seen.contrast == pytest.approx(grey.std())
    assert (grey <= seen.darkest).mean() >= 0.01 > (grey < seen.darkest).mean()
    assert (grey <= seen.lightest).mean() >= 0.99 > (grey < seen.lightest).mean()


def test_colours_are_a_histogram_of_boxes():
    picture = Image.new("RGB", (80, 80), (255, 0, 70))
    picture.paste((0, 130, 0), (0, 0, 80, 20))
    boxes = image_statistics.histogram(image_statistics.measure(picture).colours)
    assert {box: boxes[box] for box in np.flatnonzero(boxes)} == {
        3 * 16 + 0 * 4 + 1: 220,  # the root of three quarters, of 255
        0 * 16 + 2 * 4 + 0: 127,
    }


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("size", [(1, 1), (2, 300), (3, 3), (64, 64), (640, 480)])
def test_any_picture_can_be_measured(mode, size):
    seen = image_statistics.measure(noise((640, 480)).resize(size).convert(mode))
    assert seen.sharpness >= 0
    assert image_statistics.histogram(seen.colours).shape == (64,)
    json.dumps(seen)


def test_sharpness_hardly_depends_on_size():
    picture = noise((1600, 1200))
    sizes = [(1600, 1200), (800, 600), (400, 300), (200, 150)]
    seen = [image_statistics.measure(picture.resize(size)).sharpness for size in sizes]
    assert max(seen) < 2 * min(seen)
