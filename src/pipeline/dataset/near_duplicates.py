"""Computes perceptual hashes of photos, and groups hashes that are close."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import pandas as pd

_BANDS = 4
_AT_A_TIME = 2**20  # pairs in memory
_BAND_BITS = 64 // _BANDS
# The 8 lowest waves of the cosine transform of 32 values (DCT-II), as whole numbers: their products
# and sums stay below 2**53, so they are the same on every machine in whatever order it adds.
_WAVES = np.arange(8)[:, None] * (2 * np.arange(32) + 1)
_COSINES = np.rint(2**14 * np.cos(np.pi / 64 * _WAVES))


def phash(picture: Image.Image) -> int:
    """Computes the 64-bit pHash of a picture (Zauner 2010): the signs of its lowest frequencies.

    The picture is shrunk to 32 x 32, cosine-transformed, and each of the 8 x 8 lowest
    coefficients becomes one bit: above their median or not. Scaling, compression and light change
    few bits of it.

    Args:
        picture: Of any size, of any mode that turns into greyscale.

    Returns:
        An unsigned 64-bit number; compare two by the number of bits in which they differ.
    """
    small = picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    low = (_COSINES @ np.asarray(small, dtype=np.float64) @ _COSINES.T).ravel()
    lower, upper = np.sort(low)[31:33]
    return int.from_bytes(np.packbits(2 * low > lower + upper).tobytes(), "big")


def groups(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Puts hashes into one group when a chain of close pairs joins them.

    Equal hashes are joined beforehand, and pairs as they come: so many pictures of one scene
    make many pairs, and yet take no more memory than others.

    Args:
        hashes: uint64 (n,).
        bits: Largest distance that counts as close, 0 to 16.

    Returns:
        int (n,): a group number for each hash; which numbers they are means nothing.
    """
    unique, member = np.unique(np.asarray(hashes, dtype=np.uint64), return_inverse=True)
    number, close, count = np.arange(len(unique)), [], 0
    for pairs in close_pairs(unique, bits):
        ends = number[pairs]
        close.append(ends[ends[:, 0] != ends[:, 1]])
        count += len(close[-1])
        if count > _AT_A_TIME:
            number, close, count = _joined(np.concatenate(close), len(unique))[number], [], 0
    if close:
        number = _joined(np.concatenate(close), len(unique))[number]
    return number[member]


def linked(first: "pd.Series", second: "pd.Series") -> np.ndarray:
    """Joins two groupings of the same things: a chain of shared labels makes one group.

    Args:
        first: A label for each thing.
        second: Another; null joins it to nothing.

    Returns:
        int (n,): a group number for each thing; which numbers they are means nothing.
    """
    (left, names), (right, others) = first.factorize(), second.factorize()
    tied = right >= 0
    ends = np.stack([left[tied], len(names) + right[tied]], axis=1)
    return _joined(ends, len(names) + len(others))[left]


def _joined(pairs: np.ndarray, count: int) -> np.ndarray:
    # Imported here: processes that only hash need not wait for it.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(count, count))
    return connected_components(links, directed=False)[1]


def close_pairs(hashes: np.ndarray, bits: int) -> Iterator[np.ndarray]:
    """Yields all pairs of different hashes that differ in at most `bits` bits.

    It uses multi-index hashing (Norouzi et al. 2012): two hashes that differ in at most `bits`
    of 64 bits differ in at most `bits // 4` bits of at least one quarter, so only hashes that
    share such a quarter are compared.

    Args:
        hashes: uint64 (n,), each value once.
        bits: Largest distance, 0 to 16.

    Yields:
        int (pairs, 2): positions in `hashes`, the smaller first. Each pair once in all.
    """
    radius = bits // _BANDS
    quarters = [(hashes >> np.uint64(_BAND_BITS * i)).astype(np.uint16) for i in range(_BANDS)]
    for band, quarter in enumerate(quarters):
        order = np.argsort(quarter, kind="stable")
        start = np.searchsorted(quarter[order], np.arange(2**_BAND_BITS + 1))
        for mask in _masks(radius):
            first = start[quarter ^ mask]
            count = start[1:][quarter ^ mask] - first
            ends = np.cumsum(count)
            cuts = np.searchsorted(ends, np.arange(0, ends[-1:].sum(), _AT_A_TIME)[1:])
            for rows in np.split(np.arange(len(hashes)), cuts):
                left = np.repeat(rows, count[rows])
                skipped = first[rows] - (ends[rows] - count[rows])
                at = np.arange(len(left)) + (ends[rows[:1]] - count[rows[:1]]).sum()
                right = order[at + np.repeat(skipped, count[rows])]
                keep = left < right
                left, right = left[keep], right[keep]
                keep = np.bitwise_count(hashes[left] ^ hashes[right]) <= bits
                for earlier in quarters[:band]:  # which have yielded the pair already
                    keep &= np.bitwise_count(earlier[left] ^ earlier[right]) > radius
                yield np.stack([left[keep], right[keep]], axis=1)


def _masks(radius: int) -> list[np.uint16]:
    """Returns every 16-bit mask with at most `radius` bits set."""
    return [
        np.uint16(sum(1 << bit for bit in chosen))
        for size in range(radius + 1)
        for chosen in combinations(range(_BAND_BITS), size)
    ]
