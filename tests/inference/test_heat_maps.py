import io

import numpy as np
from PIL import Image

from pipeline.inference import heat_maps


def bright_there(picture):
    """A network that sees only the pixels from 8 to 16 down and 36 to 44 across, of 64."""
    share = picture[8:16, 36:44].mean() / 256
    return np.array([share, 1 - share])


def test_a_network_is_hot_where_it_looks():
    picture = np.full((64, 64, 3), 255, np.uint8)
    heat = heat_maps.occlusion(picture, 0, bright_there)
    assert heat.shape == (64, 64)
    assert heat.max() == 1
    assert heat[12, 40] > 0.9
    assert heat[30:, :32].max() == 0
    assert heat[40, 12] == 0
    assert (picture == 255).all()


def test_what_speaks_against_a_species_is_cold():
    picture = np.full((64, 64, 3), 255, np.uint8)
    assert heat_maps.occlusion(picture, 1, bright_there).max() == 0


def test_an_overlay_is_a_png_that_is_clear_where_it_is_cold():
    heat = np.zeros((32, 32))
    heat[4, 5] = 1
    image = Image.open(io.BytesIO(heat_maps.overlay(heat)))
    assert image.format == "PNG"
    assert image.mode == "RGBA"
    alpha = np.asarray(image)[..., 3]
    assert alpha[4, 5] == 200
    assert alpha.sum() == 200


def maps():
    """Of three species on 4 x 5 places: the first is seen at one place, the second everywhere."""
    maps = np.zeros((4, 5, 3))
    maps[1, 3, 0] = 6
    maps[..., 1] = 2
    maps[2, 2] += 50  # which speaks for all alike
    return maps


def test_the_heat_is_where_a_place_speaks_for_the_species():
    heat = heat_maps.activation(maps(), 0, 60)
    assert heat.shape == (60, 60)
    top, left = np.unravel_index(heat.argmax(), heat.shape)
    assert 15 <= top < 30, "the second of four rows"
    assert 36 <= left < 48, "the fourth of five columns"
    assert heat.max() == 1
    assert heat[40:, :20].max() == 0


def test_what_speaks_for_all_species_alike_is_not_hot():
    heat = heat_maps.activation(maps(), 1, 40)
    middle = heat[22:28, 18:22]
    assert middle.mean() < heat[35, 2] + 1e-6


def test_where_nothing_speaks_for_a_species_all_is_cold():
    assert heat_maps.activation(maps(), 2, 20).max() == 0
