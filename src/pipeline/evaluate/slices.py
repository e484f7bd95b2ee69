"""Scores a recogniser on parts of the photos, and names those where it is worse than elsewhere."""

import json
from collections.abc import Iterable

import numpy as np
import pandas as pd
from PIL import Image
from scipy import stats

from pipeline.dataset import group_bootstrap, image_statistics

MIN_PHOTOS = 10  # of a slice; fewer say nothing
ALPHA = 0.05  # share of the slices called worse that may be so by chance
_GREY = 12  # the highest of the channels less the lowest, in 9 of 10 pixels of an infrared picture
_DARK = 60  # mean level of a colour picture taken at dusk or in deep shade
_SUBJECT = [0, 0.01, 0.1, 0.4, np.inf]  # of the picture
_SUBJECT_NAMES = ["under 1 %", "1 to 10 %", "10 to 40 %", "40 % and more"]
_TRAINED = [0, 50, 100, 200, 500, np.inf]
_TRAINED_NAMES = ["under 50", "50 to 99", "100 to 199", "200 to 499", "500 and more"]
_THIRDS = ["least sharp third", "middle third", "sharpest third"]


def light_and_sharpness(batches: Iterable[np.ndarray]) -> pd.DataFrame:
    """Measures pictures, one batch in memory at a time.

    Args:
        batches: Of pictures, uint8 (n, size, size, 3).

    Returns:
        A row a picture: light (`day`, `dusk` or `infrared`, that is without colours) and sharpness
        (`image_statistics.Measures`).
    """
    rows = []
    for batch in batches:
        few = batch[:, ::4, ::4]  # pixels, in a sixteenth of the time
        colourful = np.quantile(np.ptp(few, axis=3), 0.9, axis=(1, 2)) >= _GREY
        bright = few.mean(axis=(1, 2, 3)) >= _DARK
        light = np.where(colourful, np.where(bright, "day", "dusk"), "infrared")
        sharpness = [image_statistics.measure(Image.fromarray(p)).sharpness for p in batch]
        rows += zip(light, sharpness, strict=True)
    return pd.DataFrame(rows, columns=["light", "sharpness"])


def facets(
    pictures: pd.DataFrame, manifest: pd.DataFrame, split: pd.DataFrame, seen: pd.DataFrame
) -> pd.DataFrame:
    """Describes each picture by what may make it hard.

    Args:
        pictures: A row a picture: photo, species and box (of what was cut out; null for all).
        manifest: A row a photo, as ingest wrote it.
        split: A row a photo, with columns species and split.
        seen: A row a picture, from `light_and_sharpness`.

    Returns:
        A row a picture with a column a facet: the name of the slice that it is in, null where that
        is not known.
    """
    photos = pictures[["photo"]].merge(manifest, on="photo", how="left")
    cut = pictures["box"].notna().to_numpy()
    box = photos["box"].where(~cut, pictures["box"].to_numpy())
    trained = split.loc[split["split"] == "train", "species"].value_counts()
    number = pictures["species"].map(trained).fillna(0).to_numpy()
    columns = {
        "subject size": _named(box.map(_area, na_action="ignore"), _SUBJECT, _SUBJECT_NAMES),
        "light": seen["light"],
        "sharpness": _thirds(seen["sharpness"]),
        "location": photos["location"],
        "source": photos["origin"],
        "training photos": _named(number, _TRAINED, _TRAINED_NAMES),
    }
    flags = photos["flags"].str.split()
    for flag in sorted(set(flags.explode().dropna())):
        columns[f"flag {flag}"] = ["flagged" if flag in raised else None for raised in flags]
    return pd.DataFrame({k: np.asarray(v, dtype=object) for k, v in columns.items()})


def scored(facets: pd.DataFrame, right: np.ndarray, units: np.ndarray) -> pd.DataFrame:
    """Scores the recogniser on each slice and compares it with the rest of the photos.

    A slice is worse than the rest by Fisher's exact test, one-sided, with counts divided by their
    design effects, for photos of one unit tell less (Rao & Scott 1992, A Simple Method for the
    Analysis of Clustered Binary Data), and corrected for the number of slices (Benjamini & Hochberg
    1995, Controlling the False Discovery Rate).

    Args:
        facets: A row a picture with a column a facet, from `facets`.
        right: Whether each picture was named rightly, bool (n,).
        units: What is drawn together, of each picture, int (n,).

    Returns:
        A row a slice of at least ten photos, but not of all: facet, slice, photos, mistakes,
        accuracy, low, high, accuracy_elsewhere, p_value (corrected), worse. Empty where there is
        none.
    """
    rows = [
        (facet, name, (facets[facet] == name).to_numpy())
        for facet in facets
        for name in sorted(facets[facet].dropna().unique(), key=str)
    ]
    rows = [row for row in rows if MIN_PHOTOS <= row[2].sum() < len(right)]
    if not rows:
        return pd.DataFrame()
    inside = np.stack([mask for *_, mask in rows]).astype(float)
    low, high = group_bootstrap.proportion(inside * right, inside, units)
    photos, hits = inside.sum(axis=1).astype(int), (inside * right).sum(axis=1).astype(int)
    others, other_hits = len(right) - photos, right.sum() - hits
    alike = intraclass_correlation(right, units)
    effect, other_effect = (design_effects(part, units, alike) for part in (inside, 1 - inside))
    here = np.stack([photos - hits, hits]) / effect
    elsewhere = np.stack([others - other_hits, other_hits]) / other_effect
    table = np.rint([here, elsewhere]).astype(int)
    p_values = [
        stats.fisher_exact(table[..., i], alternative="greater").pvalue for i in range(len(rows))
    ]
    corrected = stats.false_discovery_control(p_values)
    return pd.DataFrame(
        {
            "facet": [facet for facet, *_ in rows],
            "slice": [str(name) for _, name, _ in rows],
            "photos": photos,
            "mistakes": photos - hits,
            "accuracy": hits / photos,
            "low": low,
            "high": high,
            "accuracy_elsewhere": other_hits / others,
            "p_value": corrected,
            "worse": corrected < ALPHA,
        }
    )


def intraclass_correlation(right: np.ndarray, units: np.ndarray) -> float:
    """Estimates how much photos of one unit are right or wrong together, by analysis of variance.

    Donner & Klar 2000, Design and Analysis of Cluster Randomization Trials in Health Research.

    Args:
        right: Whether each photo was named rightly, bool (n,).
        units: The unit of each, int (n,).

    Returns:
        0 (no more than others, or all stand alone) to 1 (always).
    """
    number = np.unique(units, return_inverse=True)[1]
    sizes = np.bincount(number)
    if len(sizes) in (1, len(right)):
        return 0.0
    share = np.bincount(number, right) / sizes
    between = (sizes * (share - right.mean()) ** 2).sum() / (len(sizes) - 1)
    within = (sizes * share * (1 - share)).sum() / (len(right) - len(sizes))
    typical = (len(right) - (sizes**2).sum() / len(right)) / (len(sizes) - 1)
    total = between + (typical - 1) * within
    return float(np.clip((between - within) / total, 0, 1)) if total else 0.0


def design_effects(parts: np.ndarray, units: np.ndarray, correlation: float) -> np.ndarray:
    """Computes how many photos of each part tell as much as one that stands alone (Kish 1965).

    Args:
        parts: Whether each photo is in a part, 1 or 0, (parts, n).
        units: The unit of each photo, int (n,).
        correlation: From `intraclass_correlation`.

    Returns:
        1 or more, (parts,).
    """
    sizes = [np.bincount(units[part > 0]) for part in parts]
    return np.array([1 + ((size**2).sum() / size.sum() - 1) * correlation for size in sizes])


def _area(boxes: str) -> float:
    """Returns the area of the largest of some boxes, or of the one, as a share of the picture."""
    sides = np.atleast_2d(json.loads(boxes))[:, 2:]
    return float(sides.prod(axis=1).max())


def _named(values: pd.Series, edges: list[float], names: list[str]) -> pd.Categorical:
    return pd.cut(np.asarray(values, dtype=float), edges, right=False, labels=names)


def _thirds(values: pd.Series) -> np.ndarray:
    return np.array(_THIRDS, dtype=object)[
        np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values, side="left")
    ]
