import csv
import io
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.dataset import near_duplicates
from pipeline.inference import decoding

FAR = 12  # bits; half of 64 is what unrelated pictures differ in


def planted_hashes(count, seed=0):
    """Random hashes; a third of them a few bits away from another one."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    for i in range(0, count - 1, 3):
        flipped = rng.choice(64, rng.integers(1, 19), replace=False)
        hashes[i + 1] = hashes[i] ^ np.uint64(sum(1 << int(bit) for bit in flipped))
    return np.unique(hashes)


def all_pairs(hashes, bits):
    pairs = []
    for i, one in enumerate(hashes):
        close = np.flatnonzero(np.bitwise_count(hashes[i + 1 :] ^ one) <= bits)
        pairs += [(i, i + 1 + j) for j in close]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def close_pairs(hashes, bits):
    pieces = [np.empty((0, 2), dtype=np.int64), *near_duplicates.close_pairs(hashes, bits)]
    found = np.concatenate(pieces)
    return found[np.lexsort(found.T[::-1])]


@pytest.mark.slow
@pytest.mark.parametrize("bits", [0, 3, 6, 10, 16])
def test_close_pairs_are_those_of_comparing_all_with_all(bits):
    hashes = planted_hashes(3000)
    expected = all_pairs(hashes, bits)
    assert (len(expected) > 100) == (bits > 0)
    assert np.array_equal(close_pairs(hashes, bits), expected)


@pytest.mark.parametrize("at_a_time", [1, 7, 100])
def test_pieces_in_which_pairs_come_change_nothing(monkeypatch, at_a_time):
    hashes = planted_hashes(300)
    pairs, numbers = close_pairs(hashes, 10), near_duplicates.groups(hashes, 10)
    monkeypatch.setattr(near_duplicates, "_AT_A_TIME", at_a_time)
    assert np.array_equal(close_pairs(hashes, 10), pairs)
    again = near_duplicates.groups(hashes, 10)
    assert len({*zip(again, numbers, strict=True)}) == len(set(numbers)) == len(set(again))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_hashes(count):
    hashes = planted_hashes(9)[:count]
    assert len(near_duplicates.groups(hashes, 6)) == count
    assert len(close_pairs(hashes, 0)) == 0


def test_groups_chain():
    first, second, third = 0, 0b111111, 0b111111111111  # 6 bits from one to the next, 12 in all
    far = 0xFFFF_FFFF_0000_0000
    one, two, three, alone = near_duplicates.groups(np.array([third, first, second, far], "u8"), 6)
    assert one == two == three != alone
    assert len(set(near_duplicates.groups(np.array([third, first, far], "u8"), 6))) == 3


def test_equal_hashes_are_one_group_at_no_bits():
    numbers = near_duplicates.groups(np.array([7, 9, 7, 8, 9, 7], dtype=np.uint64), 0)
    assert numbers[0] == numbers[2] == numbers[5]
    assert numbers[1] == numbers[4]
    assert len(set(numbers)) == 3


def test_highest_bit_counts_like_any_other():
    hashes = np.array([0, 1 << 63], dtype=np.uint64)
    assert len(set(near_duplicates.groups(hashes, 0))) == 2
    assert len(set(near_duplicates.groups(hashes, 1))) == 1


def test_groups_do_not_depend_on_order():
    hashes = planted_hashes(300)
    order = np.random.default_rng(1).permutation(len(hashes))
    before, after = (
        near_duplicates.groups(hashes, 10)[order],
        near_duplicates.groups(hashes[order], 10),
    )
    assert np.array_equal(before[:, None] == before, after[:, None] == after)


@pytest.fixture(scope="module")
def drawn(drawn_photos):
    return [Image.open(path).convert("RGB") for path in sorted(drawn_photos.rglob("*.jpg"))]


def bits_between(one, other):
    return (
        near_duplicates.phash(one.convert("L")) ^ near_duplicates.phash(other.convert("L"))
    ).bit_count()


def encoded_again(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((image.width * 3, image.height * 3)),
        lambda image: image.resize((64, 64)),
        lambda image: encoded_again(image, 40),
        lambda image: image.point(lambda value: value * 0.8),
        lambda image: image.point(lambda value: value + 15),
    ],
    ids=["larger", "squeezed", "encoded_again", "darker", "lighter"],
)
def test_phash_of_the_same_picture_hardly_changes(drawn, change):
    distances = [bits_between(image, change(image)) for image in drawn]
    assert np.median(distances) <= 2
    assert np.max(distances) <= 8


def test_phash_of_different_pictures_is_far(drawn):
    distances = [bits_between(a, b) for i, a in enumerate(drawn) for b in drawn[:i]]
    assert np.median(distances) >= 20
    assert np.mean(np.array(distances) > FAR) > 0.95


def test_phash_fits_64_bits(drawn):
    assert all(0 <= near_duplicates.phash(image.convert("L")) < 2**64 for image in drawn)
    assert near_duplicates.phash(Image.new("L", (9, 9), 0)) == 0


def test_phash_is_the_signs_of_the_lowest_cosine_waves(drawn):
    for image in drawn:
        grey = image.convert("L")
        small = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
        low = dctn(small)[:8, :8].ravel()
        expected = (low > np.median(low)).tolist()
        assert [bit == "1" for bit in f"{near_duplicates.phash(grey):064b}"] == expected


def test_groups_are_those_of_comparing_all_with_all():
    hashes = planted_hashes(5000)
    joined = coo_array((np.ones(len(p := all_pairs(hashes, 6))), p.T), shape=(len(hashes),) * 2)
    expected = connected_components(joined, directed=False)[1]
    numbers = near_duplicates.groups(hashes, 6)
    assert len({*zip(numbers, expected, strict=True)}) == len(set(numbers)) == len(set(expected))
    assert len(set(numbers)) < len(hashes) - 100


def test_groups_of_real_photos_are_the_known_ones(photos_folder):
    folder, table = photos_folder("main13"), photos_folder("main13.csv")
    known = defaultdict(list)
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            known[row["near_dup_group"]].append(row["path"])
    several = [path for paths in known.values() if len(paths) > 1 for path in paths]
    single = [paths[0] for paths in known.values() if len(paths) == 1]
    sample = several + single[:: len(single) // 150]
    group = {path: name for name, paths in known.items() for path in paths}
    hashes = [near_duplicates.phash(decoding.inspect((folder / p).read_bytes())[2]) for p in sample]
    numbers = near_duplicates.groups(np.array(hashes, dtype=np.uint64), 6)
    expected = np.array([int(group[path]) for path in sample])
    ours, theirs = (x[:, None] == x for x in (numbers, expected))
    pairs = np.triu(np.ones_like(ours), 1).astype(bool)
    assert (ours & theirs & pairs).sum() >= 0.95 * (theirs & pairs).sum()
    assert (ours & ~theirs & pairs).sum() <= 0.05 * (theirs & pairs).sum()


def test_shared_labels_chain_things_together():
    first = pd.Series(["p", "p", "q", "r", "s", "s"])
    second = pd.Series(["a", None, "a", "b", None, "c"])
    groups = near_duplicates.linked(first, second)
    assert groups[0] == groups[1] == groups[2]
    assert groups[4] == groups[5]
    assert len(set(groups)) == 3
    assert len(near_duplicates.linked(first[:0], second[:0])) == 0
