from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline import augment, photos, shards
from pipeline.augment import Ranges, altered

STILL = Ranges(
    rotation=0,
    zoom=0,
    shift=0,
    shear=0,
    flip_horizontal=0,
    flip_vertical=0,
    brightness=0,
    contrast=0,
    saturation=0,
)
LIVELY = Ranges(
    rotation=15,
    zoom=0.2,
    shift=0.1,
    shear=5,
    flip_horizontal=0.5,
    flip_vertical=0,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
)
WIDEST = replace(LIVELY, rotation=180, zoom=1, shift=0.5, shear=45)
LUMINANCE = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def pictures(drawn_photos):
    return [photos.square(path.read_bytes(), 48) for path in sorted(drawn_photos.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def resized(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("shards") / "resized"
    species = ["cat"] * 12 + ["owl"] * 8 + ["fish"] * 4
    index = pd.DataFrame({"photo": [f"{i:02d}" for i in range(24)], "species": species})
    shards.write(folder, index, [np.stack(pictures)], 48)
    return folder


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("size", [48, 49])
def test_zero_ranges_give_the_picture_back(pictures, size):
    for seed, picture in enumerate(pictures):
        picture = np.asarray(Image.fromarray(picture).resize((size, size)))
        copy = altered(picture, STILL, rng(seed))
        assert copy.dtype == np.uint8
        assert np.abs(copy.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("size", [48, 49])
@pytest.mark.parametrize(("name", "axis"), [("flip_horizontal", 1), ("flip_vertical", 0)])
def test_certain_flip_mirrors_the_picture(pictures, name, axis, size):
    picture = np.asarray(Image.fromarray(pictures[0]).resize((size, size)))
    copy = altered(picture, replace(STILL, **{name: 1.0}), rng())
    assert np.abs(copy.astype(int) - np.flip(picture, axis)).max() <= 1


def test_flips_happen_as_often_as_they_should(pictures):
    ranges = replace(STILL, flip_horizontal=0.25)
    picture = pictures[0]
    flipped = [
        np.abs(altered(picture, ranges, rng(seed)).astype(int) - picture).max() > 1
        for seed in range(200)
    ]
    assert 0.15 < np.mean(flipped) < 0.35


def shrunk(ranges, picture, seeds=60):
    return np.array([altered(picture, ranges, rng(seed)).astype(float) for seed in range(seeds)])


GENTLE = np.tile(np.linspace(90, 150, 48).astype(np.uint8)[:, None, None], (1, 48, 3))


def test_brightness_is_a_factor_within_its_range_both_ways():
    copies = shrunk(replace(STILL, brightness=0.2), GENTLE)
    factors = copies.mean(axis=(1, 2, 3)) / GENTLE.mean()
    assert factors.min() == pytest.approx(1 / 1.2, abs=0.03)
    assert factors.max() == pytest.approx(1.2, abs=0.03)
    assert 0.3 < (factors > 1).mean() < 0.7
    assert np.abs(copies - GENTLE * factors[:, None, None, None]).max() < 2


def test_contrast_keeps_the_mean_and_changes_the_spread():
    copies = shrunk(replace(STILL, contrast=0.2), GENTLE)
    assert np.abs(copies.mean(axis=(1, 2, 3)) - GENTLE.mean()).max() < 1
    factors = copies.std(axis=(1, 2, 3)) / GENTLE.std()
    assert factors.min() == pytest.approx(1 / 1.2, abs=0.04)
    assert factors.max() == pytest.approx(1.2, abs=0.04)


def test_saturation_keeps_luminance_and_greys():
    coloured = GENTLE.copy()
    coloured[..., 0] -= 40
    copies = shrunk(replace(STILL, saturation=0.5), coloured)
    assert np.abs(copies @ LUMINANCE - coloured @ LUMINANCE).max() < 2
    spread = (copies.max(axis=-1) - copies.min(axis=-1)).mean(axis=(1, 2))
    assert spread.min() == pytest.approx(40 / 1.5, abs=2)
    assert spread.max() == pytest.approx(40 * 1.5, abs=2)
    assert np.abs(shrunk(replace(STILL, saturation=0.5), GENTLE, 9) - GENTLE).max() <= 1


def spot():
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[25:35, 25:35] = 255
    return picture


def test_zoom_changes_the_size_within_its_range():
    areas = shrunk(replace(STILL, zoom=0.5), spot()).mean(axis=(1, 2, 3))
    sides = np.sqrt(areas / spot().mean())
    assert sides.min() == pytest.approx(1 / 1.5, abs=0.05)
    assert sides.max() == pytest.approx(1.5, abs=0.05)


def test_shift_moves_within_its_range_both_ways():
    copies = shrunk(replace(STILL, shift=0.25), spot())[..., 0]
    down, across = (
        np.tensordot(copies.sum(axis=axis), np.arange(60), 1) / copies.sum(axis=(1, 2)) - 29.5
        for axis in (2, 1)
    )
    for moved in (down, across):
        assert np.abs(moved).max() <= 15.1
        assert moved.min() < -10
        assert moved.max() > 10


def test_rotation_turns_about_the_centre_both_ways():
    picture = np.zeros((61, 61, 3), np.uint8)
    picture[:, 29:32] = 255
    copies = shrunk(replace(STILL, rotation=20), picture)[..., 0]
    tops = (copies[:, 10] * np.arange(61)).sum(axis=1) / copies[:, 10].sum(axis=1) - 30
    degrees = np.rad2deg(np.arctan2(tops, 20))
    assert degrees.min() == pytest.approx(-20, abs=2)
    assert degrees.max() == pytest.approx(20, abs=2)
    assert np.abs(copies[:, 30].argmax(axis=1) - 30).max() <= 2


@pytest.mark.parametrize("ranges", [LIVELY, WIDEST], ids=["usual", "widest_that_params_allow"])
def test_no_edge_of_nothing_shows(ranges):
    ranges = replace(ranges, brightness=0, contrast=0, saturation=0)
    white = np.full((48, 48, 3), 255, np.uint8)
    assert shrunk(ranges, white).min() >= 254


def test_same_state_gives_the_same_copy(pictures):
    one, again, other = (altered(pictures[0], LIVELY, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_rare_species_get_more_copies():
    species = pd.Series(["cat"] * 100 + ["owl"] * 50 + ["fish"] * 10)
    wanted = augment.copies(species, 2, 4)
    assert wanted.groupby(species).unique().map(list).to_dict() == {
        "cat": [2],
        "owl": [4],
        "fish": [4],
    }
    balanced = augment.copies(species, 2, 100)
    assert (1 + balanced).groupby(species).sum().to_dict() == {"cat": 300, "owl": 300, "fish": 300}


def test_no_copies_are_no_copies():
    species = pd.Series(["cat"] * 9 + ["owl"])
    assert augment.copies(species, 0, 0).eq(0).all()


def test_expand_keeps_each_picture_first():
    index = pd.DataFrame(
        {"photo": ["a", "b", "c"], "species": ["cat", "cat", "owl"], "shard": 0, "row": [4, 7, 9]},
        index=[5, 2, 8],
    )
    rows = augment.expand(index, 1, 9)
    assert rows["photo"].tolist() == ["a", "a", "b", "b", "c", "c", "c", "c"]
    assert rows["copy"].tolist() == [0, 1, 0, 1, 0, 1, 2, 3]
    assert rows["row"].tolist() == [4, 4, 7, 7, 9, 9, 9, 9]
    assert rows.index.tolist() == list(range(8))


def drawn(resized, seed=0, jobs=1, take=None, ranges=LIVELY):
    rows = augment.expand(shards.Shards(resized).index, 1, 3)
    rows = rows if take is None else rows.iloc[take]
    return rows, np.concatenate(list(augment.pictures(resized, rows, ranges, seed, jobs)))


def test_first_is_the_picture_and_the_others_are_altered(resized, pictures):
    rows, copies = drawn(resized)
    assert len(rows) == 24 + 12 + 8 * 2 + 4 * 3
    for row, copy in zip(rows.itertuples(), copies, strict=True):
        assert np.array_equal(copy, pictures[int(row.photo)]) == (row.copy == 0)
    assert len({copy.tobytes() for copy in copies}) == len(copies)


def test_same_seed_gives_the_same_bytes_in_any_number_of_processes(resized, monkeypatch):
    monkeypatch.setattr(augment, "_PICTURES_A_JOB", 7)
    _, expected = drawn(resized)
    assert np.array_equal(drawn(resized)[1], expected)
    assert np.array_equal(drawn(resized, jobs=2)[1], expected)


def test_other_seed_gives_other_copies(resized):
    rows, copies = drawn(resized)
    _, others = drawn(resized, seed=1)
    same = (copies == others).all(axis=(1, 2, 3))
    assert same.tolist() == rows["copy"].eq(0).tolist()


def test_a_copy_does_not_depend_on_the_pictures_beside_it(resized):
    _, copies = drawn(resized)
    take = [30, 5, 1]
    assert np.array_equal(drawn(resized, take=take)[1], copies[take])


def test_preview_shows_a_picture_of_each_species_beside_its_copies(resized, tmp_path):
    rows, copies = drawn(resized)
    shards.write(tmp_path / "augmented", rows[["photo", "species", "copy"]], [copies], 48)
    shown = augment.preview(shards.Shards(tmp_path / "augmented"))
    assert [[caption for _, caption in row] for row in shown] == [
        ["cat", "copy 1"],
        ["fish", "copy 1", "copy 2", "copy 3"],
        ["owl", "copy 1", "copy 2"],
    ]
    assert np.array_equal(shown[0][1][0], copies[1])
