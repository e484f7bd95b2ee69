import hashlib
import os
import subprocess
import sys
from dataclasses import fields, replace

import cv2
import numpy as np
import pandas as pd
import pytest
import shard_files
from PIL import Image

from pipeline.augment import copies as augment_copies
from pipeline.augment import preview, transforms
from pipeline.augment.transforms import Change, Ranges, altered, draw
from pipeline.dataset import shards
from pipeline.inference import decoding

STILL = Ranges(**{field.name: 0.0 for field in fields(Ranges)} | {"strength": 1.0})
LIVELY = replace(
    STILL,
    rotation=15,
    zoom=0.2,
    shift=0.1,
    shear=5,
    flip_horizontal=0.5,
    brightness=0.2,
    contrast=0.2,
    saturation=0.2,
    hue=10,
)
WIDEST = replace(LIVELY, strength=2, rotation=180, zoom=1, shift=0.5, shear=45)
EVERYTHING = replace(LIVELY, grey=0.3, blur=0.5, jpeg=0.5, cutout=0.5, night=0.5)
EVERYTHING = replace(EVERYTHING, resolution=0.5, noise=0.5)
LUMINANCE = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def pictures(drawn_photos):
    return [decoding.square(path.read_bytes(), 48) for path in sorted(drawn_photos.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def resized(tmp_path_factory, pictures):
    folder = tmp_path_factory.mktemp("shards") / "resized"
    species = ["cat"] * 12 + ["owl"] * 8 + ["fish"] * 4
    index = pd.DataFrame({"photo": [f"{i:02d}" for i in range(24)], "species": species})
    shard_files.write(folder, index, np.stack(pictures))
    return folder


def copy_of(picture, ranges, seed=0):
    return altered(picture, draw(ranges, np.random.default_rng(seed)))


@pytest.mark.parametrize("size", [48, 49])
def test_zero_ranges_give_the_picture_back(pictures, size):
    for seed, picture in enumerate(pictures):
        picture = np.asarray(Image.fromarray(picture).resize((size, size)))
        copy = copy_of(picture, STILL, seed)
        assert copy.dtype == np.uint8
        assert np.array_equal(copy, picture)


@pytest.mark.parametrize("size", [48, 49])
@pytest.mark.parametrize(("name", "axis"), [("flip_horizontal", 1), ("flip_vertical", 0)])
def test_certain_flip_mirrors_the_picture(pictures, name, axis, size):
    picture = np.asarray(Image.fromarray(pictures[0]).resize((size, size)))
    copy = copy_of(picture, replace(STILL, **{name: 1.0}))
    assert np.array_equal(copy, np.flip(picture, axis))


def test_flips_happen_as_often_as_they_should(pictures):
    ranges = replace(STILL, flip_horizontal=0.25)
    picture = pictures[0]
    flipped = [
        np.abs(copy_of(picture, ranges, seed).astype(int) - picture).max() > 1
        for seed in range(200)
    ]
    assert 0.15 < np.mean(flipped) < 0.35


def drawn_copies(ranges, picture, seeds=60):
    return np.array([copy_of(picture, ranges, seed).astype(float) for seed in range(seeds)])


GENTLE = np.tile(np.linspace(90, 150, 48).astype(np.uint8)[:, None, None], (1, 48, 3))


def test_brightness_is_a_factor_within_its_range_both_ways():
    copies = drawn_copies(replace(STILL, brightness=0.2), GENTLE)
    factors = copies.mean(axis=(1, 2, 3)) / GENTLE.mean()
    assert factors.min() == pytest.approx(1 / 1.2, abs=0.03)
    assert factors.max() == pytest.approx(1.2, abs=0.03)
    assert 0.3 < (factors > 1).mean() < 0.7
    assert np.abs(copies - GENTLE * factors[:, None, None, None]).max() < 2


def test_contrast_keeps_the_mean_and_changes_the_spread():
    copies = drawn_copies(replace(STILL, contrast=0.2), GENTLE)
    assert np.abs(copies.mean(axis=(1, 2, 3)) - GENTLE.mean()).max() < 1
    factors = copies.std(axis=(1, 2, 3)) / GENTLE.std()
    assert factors.min() == pytest.approx(1 / 1.2, abs=0.04)
    assert factors.max() == pytest.approx(1.2, abs=0.04)


def test_saturation_keeps_luminance_and_greys():
    coloured = GENTLE.copy()
    coloured[..., 0] -= 40
    copies = drawn_copies(replace(STILL, saturation=0.5), coloured)
    assert np.abs(copies @ LUMINANCE - coloured @ LUMINANCE).max() < 2
    spread = (copies.max(axis=-1) - copies.min(axis=-1)).mean(axis=(1, 2))
    assert spread.min() == pytest.approx(40 / 1.5, abs=2)
    assert spread.max() == pytest.approx(40 * 1.5, abs=2)
    assert np.abs(drawn_copies(replace(STILL, saturation=0.5), GENTLE, 9) - GENTLE).max() <= 1


def spot():
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[25:35, 25:35] = 255
    return picture


def test_zoom_changes_the_size_within_its_range():
    areas = drawn_copies(replace(STILL, zoom=0.5), spot()).mean(axis=(1, 2, 3))
    sides = np.sqrt(areas / spot().mean())
    assert sides.min() == pytest.approx(1 / 1.5, abs=0.05)
    assert sides.max() == pytest.approx(1.5, abs=0.05)


def test_shift_moves_within_its_range_both_ways():
    copies = drawn_copies(replace(STILL, shift=0.25), spot())[..., 0]
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
    copies = drawn_copies(replace(STILL, rotation=20), picture)[..., 0]
    tops = (copies[:, 10] * np.arange(61)).sum(axis=1) / copies[:, 10].sum(axis=1) - 30
    degrees = np.rad2deg(np.arctan2(tops, 20))
    assert degrees.min() == pytest.approx(-20, abs=2)
    assert degrees.max() == pytest.approx(20, abs=2)
    assert np.abs(copies[:, 30].argmax(axis=1) - 30).max() <= 2


@pytest.mark.parametrize("ranges", [LIVELY, WIDEST], ids=["usual", "widest_that_params_allow"])
def test_no_edge_of_nothing_shows(ranges):
    ranges = replace(ranges, brightness=0, contrast=0, saturation=0)
    white = np.full((48, 48, 3), 255, np.uint8)
    assert drawn_copies(ranges, white).min() >= 254


def test_same_state_gives_the_same_copy(pictures):
    one, again, other = (copy_of(pictures[0], EVERYTHING, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_hue_turns_colours_and_keeps_luminance_and_greys():
    coloured = GENTLE.copy()
    coloured[..., 0] += 30
    turned = altered(coloured, Change(hue=120)).astype(float)
    assert np.abs(turned @ LUMINANCE - coloured @ LUMINANCE).max() < 2
    assert turned.argmax(axis=-1).min() == turned.argmax(axis=-1).max() == 1  # red became green
    assert np.abs(altered(GENTLE, Change(hue=120)).astype(int) - GENTLE).max() <= 1


def test_grey_keeps_luminance_alone(pictures):
    grey = altered(pictures[0], Change(grey=True, hue=40, saturation=3.0))
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert np.abs(grey[..., 0] - pictures[0] @ LUMINANCE).max() < 2


def sharpness(picture):
    return np.abs(np.diff(picture.astype(float), axis=1)).mean()


def test_stronger_blur_leaves_less_detail(pictures):
    left = [sharpness(altered(pictures[0], Change(blur=amount))) for amount in (0, 1, 2)]
    assert left[0] > 1.1 * left[1] > 1.1**2 * left[2]


def test_stronger_jpeg_is_further_from_the_picture(pictures):
    errors = [
        np.abs(altered(pictures[0], Change(jpeg=amount)).astype(int) - pictures[0]).mean()
        for amount in (0, 0.5, 1, 2)
    ]
    assert errors[0] == 0
    assert sorted(errors) == errors
    assert errors[1] < errors[2] / 1.2


@pytest.mark.parametrize("place", [(0.5, 0.5), (0.0, 1.0), (0.97, 0.3)])
def test_cutout_hides_a_square_and_nothing_else(pictures, place):
    picture = pictures[0]
    copy = altered(picture, Change(cutout=1, place=place))
    hidden = (copy == np.rint(picture.mean(axis=(0, 1)))).all(axis=-1)
    near = np.abs((np.arange(48) + 0.5) / 48 - np.array(place)[:, None]) < 0.2
    square = near[1][:, None] & near[0]
    assert hidden[square].mean() > 0.9
    assert np.array_equal(copy[~square & ~hidden], picture[~square & ~hidden])


def test_night_is_grey_dark_at_the_edges_noisy_and_of_low_contrast():
    picture = np.tile(np.array([40, 200], np.uint8).repeat(48)[:, None], (1, 96))
    picture = np.dstack([picture, 255 - picture, picture])
    night = altered(picture, Change(night=1, place=(0.5, 0.9)))
    assert (night == night[..., :1]).all()
    seen = night[..., 0].astype(float)
    assert seen[:20, :20].mean() < 0.7 * seen[15:40, 38:58].mean()
    assert seen[84:88, 46:50].mean() > seen[84:88, :10].mean() + 100  # glare
    assert 5 < np.diff(seen[:20, :20]).std() / 2**0.5 < 20
    other = altered(picture, Change(night=1, place=(0.5, 0.9), grains=1))
    assert 0 < np.abs(other.astype(int) - night).mean() < 20


def test_a_lower_resolution_keeps_means_and_loses_what_is_finer():
    board = 60 + 120 * (np.indices((60, 60)).sum(axis=0) % 2)  # 1 px squares
    halves = np.where(np.arange(60) < 30, 40, 200) * np.ones((60, 1))
    fine, coarse = (np.dstack([grey] * 3).astype(np.uint8) for grey in (board, halves))
    lower = altered(fine, Change(resolution=1))
    assert np.abs(lower.astype(int) - 120).max() <= 5, "12 px cannot show squares of 1 px"
    lower = altered(coarse, Change(resolution=1)).astype(int)
    assert (lower[:, :24] == 40).all() and (lower[:, 36:] == 200).all()
    widths = [
        (np.abs(altered(coarse, Change(resolution=s)).astype(int) - coarse) > 8)[0, :, 0].sum()
        for s in (0.25, 1, 2)
    ]
    assert sorted(set(widths)) == widths, "a stronger one is not blurred further"


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_noise_is_normal_differs_by_colour_and_has_its_sigma(strength):
    grey = np.full((96, 96, 3), 128, np.uint8)
    noise = altered(grey, Change(noise=strength, grains=5)).astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=1)
    assert noise.std() == pytest.approx(50 * strength, rel=0.05)
    within = (np.abs(noise) < 50 * strength).mean()
    assert within == pytest.approx(0.68, abs=0.03), "of a normal distribution 68 % are within sigma"
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.05
    assert np.abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("name", ["grey", "blur", "jpeg", "cutout", "night", "resolution", "noise"])
def test_probabilities_are_heeded(name):
    drawn = [draw(replace(STILL, **{name: 0.25}), np.random.default_rng(i)) for i in range(400)]
    assert 0.18 < np.mean([bool(getattr(change, name)) for change in drawn]) < 0.32


def test_one_range_moves_no_other_part_of_a_change():
    for field in fields(Ranges):
        if field.name == "strength":
            continue
        one, other = (
            draw(replace(EVERYTHING, **{field.name: value}), np.random.default_rng(3))
            for value in (0.0, 1.0)
        )
        assert replace(one, **{field.name: getattr(other, field.name)}) == other


def test_strength_is_a_factor_on_every_range_and_on_no_probability():
    always = replace(EVERYTHING, blur=1, jpeg=1, cutout=1, night=1, resolution=1, noise=1)
    weak, strong = (draw(replace(always, strength=s), np.random.default_rng(3)) for s in (0.5, 1.0))
    for name in (
        "rotation",
        "shear",
        "hue",
        "blur",
        "jpeg",
        "cutout",
        "night",
        "resolution",
        "noise",
    ):
        assert getattr(weak, name) == pytest.approx(getattr(strong, name) / 2)
    for name in ("zoom", "brightness", "contrast", "saturation"):
        assert getattr(weak, name) == pytest.approx(getattr(strong, name) ** 0.5)
    assert np.multiply(2, weak.shift) == pytest.approx(strong.shift)
    assert weak.grey == strong.grey
    assert weak.flip_horizontal == strong.flip_horizontal
    assert draw(replace(always, strength=0), np.random.default_rng(3)).rotation == 0


@pytest.mark.parametrize("ranges", [LIVELY, WIDEST], ids=["usual", "widest_that_params_allow"])
@pytest.mark.parametrize("size", [48, 49, 1024])
def test_moving_is_integer_arithmetic(ranges, size):
    """Each pixel is the weighted mean of four, computed here without a single fraction."""
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    for seed in range(1 if size == 1024 else 20):
        change = draw(ranges, np.random.default_rng(seed))
        change = replace(change, brightness=1, contrast=1, saturation=1, hue=0)
        matrix = (transforms._affine(change, size) * 128).astype(int)
        down, across = np.mgrid[:size, :size]
        x, y = (row[0] * across + row[1] * down + row[2] for row in matrix)
        total = 0
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            weight = (x % 128 if dx else 128 - x % 128) * (y % 128 if dy else 128 - y % 128)
            total = total + mirrored(picture, x // 128 + dx, y // 128 + dy) * weight[..., None]
        whole, rest = np.divmod(total, 128**2)
        expected = whole + ((rest > 8192) | ((rest == 8192) & (whole % 2 == 1)))
        assert np.array_equal(altered(picture, change), expected)


def mirrored(picture, x, y):
    size = len(picture)
    x, y = (np.where(p % (2 * size) < size, p % size, size - 1 - p % size) for p in (x, y))
    return picture[y, x].astype(int)


def test_colouring_is_integer_arithmetic():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    wild = replace(STILL, strength=2, brightness=1, contrast=1, saturation=1, hue=180)
    for seed in range(50):
        change = draw(wild, np.random.default_rng(seed))
        matrix = (transforms._colours(change, cv2.mean(picture)[:3]) * 1024).astype(int)
        total = picture.astype(int) @ matrix[:, :3].T + matrix[:, 3]
        assert np.array_equal(altered(picture, change), ((total + 512) // 1024).clip(0, 255))


def digest():
    picture = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    picture = picture.repeat(12, axis=0).repeat(12, axis=1)
    copies = [copy_of(picture, EVERYTHING, seed) for seed in range(20)]
    return hashlib.sha256(np.stack(copies)).hexdigest()


PLAINEST_CODE = {  # of OpenCV, IPP, libjpeg-turbo and numpy
    "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FP16,AVX,SSE4.2,SSE4.1",
    "OPENCV_IPP": "disabled",
    "JSIMD_FORCENONE": "1",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 X86_V3",
}


@pytest.mark.slow
def test_processor_changes_no_byte():
    plain = subprocess.run(
        [sys.executable, "-c", "from augment import test_augment; print(test_augment.digest())"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | PLAINEST_CODE,
        check=True,
        capture_output=True,
        text=True,
    )
    expected = "516763e0feb98b1b261fbfde28137aa9e5fc9c2365d7ddb1a2551616c19afd00"
    assert digest() == expected
    assert plain.stdout.strip() == expected


def test_rare_species_get_more_copies():
    species = pd.Series(["cat"] * 100 + ["owl"] * 50 + ["fish"] * 10)
    wanted = augment_copies.copies(species, 2, 4)
    assert wanted.groupby(species).unique().map(list).to_dict() == {
        "cat": [2],
        "owl": [4],
        "fish": [4],
    }
    balanced = augment_copies.copies(species, 2, 100)
    assert (1 + balanced).groupby(species).sum().to_dict() == {"cat": 300, "owl": 300, "fish": 300}


def test_no_copies_are_no_copies():
    species = pd.Series(["cat"] * 9 + ["owl"])
    assert augment_copies.copies(species, 0, 0).eq(0).all()


def test_expand_keeps_each_picture_first():
    index = pd.DataFrame(
        {"photo": ["a", "b", "c"], "species": ["cat", "cat", "owl"], "shard": 0, "row": [4, 7, 9]},
        index=[5, 2, 8],
    )
    rows = augment_copies.expand(index, 1, 9)
    assert rows["photo"].tolist() == ["a", "a", "b", "b", "c", "c", "c", "c"]
    assert rows["copy"].tolist() == [0, 1, 0, 1, 0, 1, 2, 3]
    assert rows["row"].tolist() == [4, 4, 7, 7, 9, 9, 9, 9]
    assert rows.index.tolist() == list(range(8))


@pytest.fixture
def write(resized, tmp_path, monkeypatch):
    """Writes copies of `resized`, some rows of them in some order, and gives them."""
    monkeypatch.setattr(shards, "LENGTH", 20)
    monkeypatch.setattr(shards, "_PICTURES_A_JOB", 7)

    def write(seed=0, jobs=1, take=slice(None), ranges=EVERYTHING):
        rows = augment_copies.expand(shards.Shards(resized).index, 1, 3).iloc[take]
        augment_copies.write(tmp_path / "augmented", resized, rows, ranges, seed, jobs)
        written = shards.Shards(tmp_path / "augmented")
        assert written.index["copy"].tolist() == rows["copy"].tolist()
        return written.index, written.take(range(len(written)))

    return write


def test_first_is_the_picture_and_the_others_are_altered(write, pictures):
    rows, copies = write()
    assert len(rows) == 24 + 12 + 8 * 2 + 4 * 3
    for row, copy in zip(rows.itertuples(), copies, strict=True):
        assert np.array_equal(copy, pictures[int(row.photo)]) == (row.copy == 0)
    assert len({copy.tobytes() for copy in copies}) == len(copies)


def test_number_of_processes_changes_no_byte(write, tmp_path):
    files = []
    for jobs in (1, 2):
        write(jobs=jobs)
        files.append({p.name: p.read_bytes() for p in (tmp_path / "augmented").iterdir()})
    assert files[0] == files[1]


def test_other_seed_gives_other_copies(write):
    rows, copies = write()
    _, others = write(seed=1)
    same = (copies == others).all(axis=(1, 2, 3))
    assert same.tolist() == rows["copy"].eq(0).tolist()


def test_photos_that_look_the_same_get_copies_that_do_not(pictures, tmp_path):
    index = pd.DataFrame({"photo": ["one", "other"], "species": "cat"})
    shard_files.write(tmp_path / "resized", index, np.stack([pictures[0]] * 2))
    rows = augment_copies.expand(shards.Shards(tmp_path / "resized").index, 2, 2)
    augment_copies.write(tmp_path / "augmented", tmp_path / "resized", rows, LIVELY, 0, 1)
    copies = shards.Shards(tmp_path / "augmented").take(range(6))
    assert len({copy.tobytes() for copy in copies}) == 5, "all photos are altered the same way"


def test_copies_say_which_view_of_a_photo_they_are_of(pictures, tmp_path):
    index = pd.DataFrame({"photo": [*"xxy"], "view": [0, 1, 0], "species": "cat"})
    shard_files.write(tmp_path / "resized", index, np.stack(pictures[:3]))
    rows = augment_copies.expand(shards.Shards(tmp_path / "resized").index, 1, 1)
    augment_copies.write(tmp_path / "augmented", tmp_path / "resized", rows, LIVELY, 0, 1)
    written = shards.Shards(tmp_path / "augmented").index
    pairs = written[["photo", "view", "copy"]].to_numpy().tolist()
    assert pairs == [["x", 0, 0], ["x", 0, 1], ["x", 1, 0], ["x", 1, 1], ["y", 0, 0], ["y", 0, 1]]


def test_a_copy_does_not_depend_on_the_pictures_beside_it(write):
    _, copies = write()
    take = [30, 5, 1]
    assert np.array_equal(write(take=take)[1], copies[take])


def test_preview_shows_each_change_alone_and_each_species_beside_its_copies(write, tmp_path):
    _, copies = write()
    ranges = replace(LIVELY, hue=0)
    shown = preview.preview(shards.Shards(tmp_path / "augmented"), ranges)
    captions = [[caption for _, caption in row] for row in shown]
    assert captions[-3:] == [
        ["cat", "copy 1"],
        ["fish", "copy 1", "copy 2", "copy 3"],
        ["owl", "copy 1", "copy 2"],
    ]
    assert np.array_equal(shown[-3][1][0], copies[1])
    alone = {caption: picture for row in shown[:-3] for picture, caption in row}
    changes = {field.name for field in fields(Ranges)} - {"strength"}
    assert {caption.removesuffix(" (off)") for caption in alone} == changes
    unchanged = {name for name, picture in alone.items() if np.array_equal(picture, copies[0])}
    assert unchanged == {"hue (off)"}
    assert {name for name in alone if name.endswith(" (off)")} == {
        f"{name} (off)" for name in changes if not getattr(ranges, name)
    }
