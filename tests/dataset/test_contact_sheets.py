import numpy as np
import pytest

from pipeline.dataset import contact_sheets

RED, BLUE = (np.full((9, 7, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))


def test_pictures_stand_in_rows():
    sheet = contact_sheets.sheet([[(RED, "a"), (BLUE, "b")], [(BLUE, "c")]], tile=20)
    pixels = np.asarray(sheet).astype(int)
    red = np.argwhere((pixels == (255, 0, 0)).all(axis=-1))
    blue = np.argwhere((pixels == (0, 0, 255)).all(axis=-1))
    assert len(red) == 20 * 20
    assert len(blue) == 2 * 20 * 20
    first, second = (blue[:, 0] < sheet.height / 2), (blue[:, 0] > sheet.height / 2)
    assert blue[first][:, 1].min() > red[:, 1].max()
    assert list(blue[second].min(axis=0) - red.min(axis=0))[1] == 0


def test_caption_is_drawn_below_its_picture():
    with_caption, without = (
        np.asarray(contact_sheets.sheet([[(RED, text)]], tile=40)) for text in ("zebra", "")
    )
    changed = np.argwhere((with_caption != without).any(axis=-1))
    red = np.argwhere((without == (255, 0, 0)).all(axis=-1))
    assert len(changed) > 10
    assert changed[:, 0].min() > red[:, 0].max()


def test_long_caption_stays_below_its_own_picture():
    rows = [[(RED, "a very long name of a species indeed"), (BLUE, "")]]
    pixels = np.asarray(contact_sheets.sheet(rows, tile=40)).astype(int)
    ink = np.argwhere(pixels.max(axis=-1) < 128)
    red, blue = (
        np.argwhere((pixels == colour).all(axis=-1)) for colour in ((255, 0, 0), (0, 0, 255))
    )
    assert len(ink)
    assert ink[:, 0].min() > red[:, 0].max()
    assert ink[:, 1].max() < blue[:, 1].min()


def test_a_caption_is_whole_however_long_it_is():
    """The ink of a caption is that of its letters, which are all the same."""

    def ink(caption):
        pixels = np.asarray(contact_sheets.sheet([[(RED, caption)]], tile=40)).astype(int)
        return (255 - pixels[..., 1][pixels[..., 0] == pixels[..., 1]]).sum()

    one = ink("H")
    for caption in ("HHHHHHHHHHHHHHHHH", "HHH HHH HHHHHHH HHHH", "HHHHHHHHHH HHHHHHH"):
        assert ink(caption) == pytest.approx(17 * one, rel=0.1), caption


@pytest.mark.parametrize("caption", ["ネコ", "żubr", "🦁", ""])
def test_any_caption_will_do(caption):
    assert contact_sheets.sheet([[(RED, caption)]]).mode == "RGB"


@pytest.mark.parametrize("rows", [[], [[]], [[], [(RED, "a")]]])
def test_rows_may_be_short_or_empty(rows):
    sheet = contact_sheets.sheet(rows)
    assert min(sheet.size) > 0
