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
    with_caption, without = (
        np.asarray(contact_sheets.sheet(r, tile=40)) for r in (rows, [[(RED, ""), (BLUE, "")]])
    )
    changed = np.argwhere((with_caption != without).any(axis=-1))
    blue = np.argwhere((without == (0, 0, 255)).all(axis=-1))
    assert len(changed)
    assert changed[:, 1].max() < blue[:, 1].min()


@pytest.mark.parametrize("caption", ["ネコ", "żubr", "🦁", ""])
def test_any_caption_will_do(caption):
    assert contact_sheets.sheet([[(RED, caption)]]).mode == "RGB"


@pytest.mark.parametrize("rows", [[], [[]], [[], [(RED, "a")]]])
def test_rows_may_be_short_or_empty(rows):
    sheet = contact_sheets.sheet(rows)
    assert min(sheet.size) > 0
