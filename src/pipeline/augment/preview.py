"""Shows each change alone, and pictures beside their copies."""

import numpy as np

from pipeline.augment.transforms import Change, Ranges, altered
from pipeline.core import parallel
from pipeline.dataset.shards import Shards

_ON_A_ROW = 8


def preview(augmented: Shards, ranges: Ranges) -> list[list[tuple[np.ndarray, str]]]:
    """Lays out each change alone at its strongest, then a picture of each species and its copies.

    Args:
        augmented: The augmented shards.
        ranges: How far copies may differ.

    Returns:
        Rows for `contact_sheets.sheet`.
    """
    index = augmented.index
    shown = index[index["photo"].isin(index.groupby("species")["photo"].first())]
    species = [
        [
            (augmented.take([row.Index])[0], f"copy {row.copy}" if row.copy else row.species)
            for row in rows.itertuples()
        ]
        for _, rows in shown.groupby("species")
    ]
    alone = extremes(species[0][0][0], ranges)
    return [*map(list, parallel.chunks(alone, _ON_A_ROW)), *species]


def extremes(picture: np.ndarray, ranges: Ranges) -> list[tuple[np.ndarray, str]]:
    """Alters a picture by each change alone, at its strongest.

    A change with a probability of 0 is shown too, marked "(off)", so that its effect can be seen
    before it is turned on.

    Args:
        picture: uint8 (size, size, 3).
        ranges: How far copies may differ.

    Returns:
        (altered picture, name of the change) of each.
    """
    s = ranges.strength
    strongest = {
        "rotation": s * ranges.rotation,
        "zoom": (1 + ranges.zoom) ** s,
        "shift": (s * ranges.shift, s * ranges.shift),
        "shear": s * np.tan(np.deg2rad(ranges.shear)),
        "flip_horizontal": True,
        "flip_vertical": True,
        "brightness": (1 + ranges.brightness) ** s,
        "contrast": (1 + ranges.contrast) ** s,
        "saturation": (1 + ranges.saturation) ** s,
        "hue": s * ranges.hue,
        "grey": True,
        "blur": s,
        "jpeg": s,
        "cutout": s,
        "night": s,
        "resolution": s,
        "noise": s,
    }
    return [
        (
            altered(picture, Change(**{name: value})),
            name if getattr(ranges, name) else f"{name} (off)",
        )
        for name, value in strongest.items()
    ]
