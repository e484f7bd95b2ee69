import numpy as np

from pipeline.inference import class_activation


def maps():
    """Of three species on 4 x 5 places: the first is seen at one place, the second everywhere."""
    maps = np.zeros((4, 5, 3))
    maps[1, 3, 0] = 6
    maps[..., 1] = 2
    maps[2, 2] += 50  # which speaks for all alike
    return maps


def test_the_heat_is_where_a_place_speaks_for_the_species():
    heat = class_activation.heat(maps(), 0, 60)
    assert heat.shape == (60, 60)
    top, left = np.unravel_index(heat.argmax(), heat.shape)
    assert 15 <= top < 30, "the second of four rows"
    assert 36 <= left < 48, "the fourth of five columns"
    assert heat.max() == 1
    assert heat[40:, :20].max() == 0


def test_what_speaks_for_all_species_alike_is_not_hot():
    heat = class_activation.heat(maps(), 1, 40)
    middle = heat[22:28, 18:22]
    assert middle.mean() < heat[35, 2] + 1e-6


def test_where_nothing_speaks_for_a_species_all_is_cold():
    assert class_activation.heat(maps(), 2, 20).max() == 0
