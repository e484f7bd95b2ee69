import io

import numpy as np
from PIL import Image

from pipeline.inference import occlusion


def bright_there(pictures):
    """A network that sees only the pixels from 8 to 16 down and 36 to 44 across, of 64."""
    share = pictures[:, 8:16, 36:44].mean(axis=(1, 2, 3)) / 256
    return np.stack([share, 1 - share], axis=1)


def test_the_heat_is_where_the_network_looks():
    picture = np.full((64, 64, 3), 255, np.uint8)
    heat = occlusion.heat(picture, 0, bright_there)
    assert heat.shape == (64, 64)
    assert heat.max() == 1
    assert heat[12, 40] > 0.9
    assert heat[30:, :32].max() == 0
    assert heat[40, 12] == 0
    assert (picture == 255).all()


def test_what_speaks_against_a_species_is_cold():
    picture = np.full((64, 64, 3), 255, np.uint8)
    assert occlusion.heat(picture, 1, bright_there).max() == 0


def test_an_overlay_is_a_png_that_is_clear_where_it_is_cold():
    heat = np.zeros((32, 32))
    heat[4, 5] = 1
    image = Image.open(io.BytesIO(occlusion.overlay(heat)))
    assert image.format == "PNG"
    assert image.mode == "RGBA"
    alpha = np.asarray(image)[..., 3]
    assert alpha[4, 5] == 200
    assert alpha.sum() == 200
