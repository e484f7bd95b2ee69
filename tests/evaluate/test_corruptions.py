from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluate.corruptions import CORRUPTIONS, STRENGTHS, corrupt

REFERENCE = np.load(Path(__file__).with_name("corruptions.npz"))
ROWS = [20, 77, 150, 211]  # that `bench/corruption_reference.py` kept


@pytest.fixture(scope="module")
def picture():
    """As `bench/corruption_reference.py` draws it."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC)).copy()
    smooth[60:110, 30:120] = (250, 200, 20)
    smooth[130:, 150:] = (10, 20, 90)
    return smooth


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize(
    ("name", "mean", "most"),
    [("blur", 0.6, 4), ("jpeg", 1.5, 40), ("brightness", 0.6, 1), ("contrast", 0.6, 1)],
)
def test_a_picture_is_as_imagecorruptions_makes_it(picture, name, mean, most, strength):
    worse = corrupt(picture, name, strength, 0)[ROWS].astype(int)
    apart = np.abs(worse - REFERENCE[f"{name} {strength}"])
    assert apart.mean() < mean
    assert apart.max() <= most
    before = np.abs(picture[ROWS].astype(int) - REFERENCE[f"{name} {strength}"])
    assert before.mean() > 4 * apart.mean()


@pytest.mark.parametrize(
    ("strength", "deviation"), zip(STRENGTHS, (0.08, 0.12, 0.18, 0.26, 0.38), strict=True)
)
def test_noise_has_the_published_deviation(strength, deviation):
    grey = np.full((120, 120, 3), 128, np.uint8)
    worse = corrupt(grey, "noise", strength, 1) / 255.0
    drawn = np.random.default_rng(2).normal(128 / 255, deviation, 10**6).clip(0, 1)
    assert worse.std() == pytest.approx(drawn.std(), rel=0.02)
    assert worse.mean() == pytest.approx(drawn.mean(), abs=0.01)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_strength_changes_the_picture_more_than_the_one_before(picture, name):
    """Or hardly less: where a smaller picture fits the larger one better, or fog is drawn anew."""
    worse = (corrupt(picture, name, strength, 3).astype(int) for strength in STRENGTHS)
    apart = np.array([np.abs(one - picture).mean() for one in worse])
    assert apart[0] > 0.5
    assert (apart[1:] > 0.9 * apart[:-1]).all()
    assert apart[-1] > 1.1 * apart[0]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_is_the_same_picture_and_what_came_in_stays_as_it_was(picture, name):
    before = picture.copy()
    worse = corrupt(picture, name, 3, 5)
    assert (worse.dtype, worse.shape) == (np.uint8, picture.shape)
    np.testing.assert_array_equal(worse, corrupt(picture, name, 3, 5))
    np.testing.assert_array_equal(picture, before)
    if name in ("noise", "fog", "occlusion", "infrared"):
        assert (worse != corrupt(picture, name, 3, 6)).any()


def test_lengths_grow_with_the_picture(picture):
    """A blurred picture of half the side is the half of the blurred picture, nearly."""
    half = np.asarray(Image.fromarray(picture).resize((112, 112), Image.Resampling.BOX))
    large = Image.fromarray(corrupt(picture, "blur", 4, 0))
    expected = np.asarray(large.resize((112, 112), Image.Resampling.BOX)).astype(int)
    assert np.abs(corrupt(half, "blur", 4, 0) - expected).mean() < 1
    assert np.abs(corrupt(half, "blur", 2, 0) - expected).mean() > 3


def test_occlusion_hides_its_share_behind_grey(picture):
    for strength, share in zip(STRENGTHS, (0.05, 0.1, 0.2, 0.3, 0.4), strict=True):
        worse = corrupt(picture, "occlusion", strength, 4)
        hidden = (worse == 128).all(axis=2)
        assert hidden.mean() == pytest.approx(share, rel=0.03)
        np.testing.assert_array_equal(worse[~hidden], picture[~hidden])


def test_grey_and_infrared_pictures_have_no_colour_at_the_end(picture):
    for name in ("grey", "infrared"):
        assert np.ptp(corrupt(picture, name, 5, 0).astype(int), axis=2).max() == 0
    assert np.ptp(corrupt(picture, "grey", 4, 0).astype(int), axis=2).max() > 10


def test_a_black_picture_becomes_brighter_too():
    black = np.zeros((32, 32, 3), np.uint8)
    assert (corrupt(black, "brightness", 3, 0) == round(0.3 * 255)).all()
