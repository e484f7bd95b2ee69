"""Folders of shards, as resize and augment write them, from pictures in memory."""

import shutil

import numpy as np

from pipeline.dataset import shards


def write(folder, index, pictures):
    """Writes pictures, uint8 (n, size, size, 3), and their index in place of a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    starts = range(0, len(pictures), shards.LENGTH)
    parts = [pictures[start : start + shards.LENGTH] for start in starts]
    for number, part in enumerate(parts):
        np.save(shards.path(folder, number), part)
    shards.write_index(folder, index, [len(part) for part in parts])
