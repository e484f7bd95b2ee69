"""Which photos show the same picture: perceptual hashes, and groups of hashes that are close."""

from itertools import combinations

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_BANDS = 4
_BAND_BITS = 64 // _BANDS


def phash(grey: Image.Image) -> int:
    """The 64-bit pHash of a picture (Zauner 2010): the signs of its lowest frequencies.

    The picture is shrunk to 32 x 32, cosine-transformed, and each of the 8 x 8 lowest
    coefficients becomes one bit: above their median or not. Scaling, compression and light change
    few bits of it.

    Args:
        grey: A greyscale picture of any size.

    Returns:
        An unsigned 64-bit number; compare two by the number of bits in which they differ.
    """
    pixels = np.asarray(grey.resize((32, 32), Image.Resampling.LANCZOS), dtype=np.float64)
    low = dctn(pixels)[:8, :8]
    # Rounded, so that the last bit of one machine's arithmetic decides nothing.
    low = np.round(low, 3)
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def groups(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Puts hashes into one group when a chain of close pairs joins them.

    Close pairs are found by multi-index hashing (Norouzi et al. 2012): two hashes that differ in
    at most `bits` of 64 bits differ in at most `bits // 4` bits of at least one quarter, so only
    hashes that share such a quarter are compared. Equal hashes are joined beforehand.

    Args:
        hashes: uint64 (n,).
        bits: Largest distance that counts as close, 0 to 16.

    Returns:
        int (n,): a group number for each hash; which numbers they are means nothing.
    """
    if not len(hashes):
        return np.empty(0, dtype=np.int32)
    unique, member = np.unique(np.asarray(hashes, dtype=np.uint64), return_inverse=True)
    pairs = close_pairs(unique, bits)
    links = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(len(unique),) * 2)
    return connected_components(links, directed=False)[1][member]


def linked(first: pd.Series, second: pd.Series) -> np.ndarray:
    """Joins two groupings of the same things: a chain of shared labels makes one group.

    Args:
        first: A label for each thing.
        second: Another; null joins it to nothing.

    Returns:
        int (n,): a group number for each thing; which numbers they are means nothing.
    """
    (left, names), (right, others) = pd.factorize(first), pd.factorize(second)
    tied = right >= 0
    ends = left[tied], len(names) + right[tied]
    links = coo_array((np.ones(tied.sum(), bool), ends), shape=(len(names) + len(others),) * 2)
    return connected_components(links, directed=False)[1][left]


def close_pairs(hashes: np.ndarray, bits: int) -> np.ndarray:
    """All pairs of different hashes that differ in at most `bits` bits.

    Args:
        hashes: uint64 (n,), each value once.
        bits: Largest distance, 0 to 16.

    Returns:
        int (pairs, 2): positions in `hashes`, the smaller first, each pair once.
    """
    found = [np.empty((0, 2), dtype=np.int64)]
    for band in range(_BANDS):
        quarter = (hashes >> np.uint64(band * _BAND_BITS)).astype(np.uint16)
        order = np.argsort(quarter, kind="stable")
        ordered = quarter[order]
        for mask in _masks(bits // _BANDS):
            first = np.searchsorted(ordered, quarter ^ mask, "left")
            count = np.searchsorted(ordered, quarter ^ mask, "right") - first
            left = np.repeat(np.arange(len(hashes)), count)
            within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            right = order[np.repeat(first, count) + within]
            close = np.bitwise_count(hashes[left] ^ hashes[right]) <= bits
            keep = close & (left < right)
            found.append(np.stack([left[keep], right[keep]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _masks(radius: int) -> list[np.uint16]:
    """Every 16-bit mask with at most `radius` bits set."""
    return [
        np.uint16(sum(1 << bit for bit in chosen))
        for size in range(radius + 1)
        for chosen in combinations(range(_BAND_BITS), size)
    ]
