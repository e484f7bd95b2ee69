"""How far one gets without looking at the animal: what an accuracy must be read against.

A model sees each photo's size, sharpness and colour histogram alone. Whatever it reaches, it
reaches because source, place or light and species go together in the collection.

It is a kernel ridge regression on the ranks of the features, with a Laplacian kernel. On two
collections of real photos it names 0.56 and 0.59, where a random forest of 100 trees names 0.55
and 0.57 in several times the time. It is scikit-learn's
(tests/dataset/test_shortcut_baseline.py), which would take longer to import than this takes to
answer.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.dataset import image_statistics, stratified_groups

FOLDS = 5
_RIDGE = 0.1  # real photos are named as well with 0.3
_PHOTOS = 2000  # a standard error of 0.011; 3,000 take twice the time for 0.010
_PER_GROUP = 10  # so that one long burst is not all of the sample


@dataclass(frozen=True)
class Score:
    """What the model reached on photos it had not learned from.

    Attributes:
        photos: How many it was asked about.
        accuracy: Share of them it named rightly.
        standard_error: Of the accuracy; units that stay together count as one draw each.
        guess: Share that naming the commonest species every time would get right.
    """

    photos: int
    accuracy: float
    standard_error: float
    guess: float

    @classmethod
    def of(cls, right: np.ndarray, species: pd.Series, units: pd.Series) -> "Score":
        """Counts right answers; all three are of one length. Of no photos, none are right."""
        if not len(right):
            return cls(0, 0.0, 0.0, 0.0)
        error = _standard_error(right, units)
        guess = species.value_counts(normalize=True).max()
        return cls(len(right), float(right.mean()), error, float(guess))

    def __str__(self) -> str:
        return f"{self.accuracy:.3f} ± {self.standard_error:.3f}"


@dataclass(frozen=True)
class Gap:
    """What a split that cuts through groups would have pretended.

    Attributes:
        random: The score over folds of single photos.
        whole: The score over folds of whole units.
        gap: The one less the other.
        standard_error: Of the gap; the photos are the same, so it is smaller than the scores'.
    """

    random: Score
    whole: Score
    gap: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.gap:+.3f} ± {self.standard_error:.3f} ({self.random} and {self.whole})"


def sample(manifest: pd.DataFrame) -> pd.DataFrame:
    """Rows of a manifest that stand for it: whole groups up to 2,000 photos, ten of a group.

    Which groups is decided by the hashes of their names, so other photos that come or go change
    little.
    """
    few = manifest.loc[manifest.groupby("group").cumcount() < _PER_GROUP, "group"]
    places = np.fromiter((stratified_groups.place(0, name) for name in few), float, len(few))
    chosen = few.index[places.argsort(kind="stable")[:_PHOTOS]]
    return manifest.loc[chosen.sort_values()]


def appearance(manifest: pd.DataFrame, inspected: pd.DataFrame) -> pd.DataFrame:
    """Returns what the model sees of a manifest's `sample`, besides sizes.

    Args:
        manifest: The accepted photos.
        inspected: What `manifest.inspect` gave of all files.

    Returns:
        photo, sharpness and colours (`image_statistics.Measures`), a row a photo in the sample's
        order.
    """
    chosen = sample(manifest)
    files = inspected[["path", "sharpness", "colours"]]
    rows = chosen[["photo", "path"]].merge(files, on="path")[["photo", "sharpness", "colours"]]
    return rows.astype({"sharpness": "float64", "colours": "str"})


def write_score(path: Path, score: Score) -> None:
    """Writes a score as JSON."""
    path.write_text(json.dumps(asdict(score), indent=2) + "\n")


def score(rows: pd.DataFrame) -> Score:
    """How well the model tells the species apart when groups stay whole.

    Args:
        rows: With columns photo, species, group, width, height, sharpness and colours.
    """
    fold = stratified_groups.deal(rows["group"], rows["species"], [1 / FOLDS] * FOLDS, 0)
    right = _answers(_kernel(_features(rows)), rows["species"], fold)
    return Score.of(right, rows["species"], rows["group"])


def gap(rows: pd.DataFrame, fold: np.ndarray, units: pd.Series) -> Gap:
    """How much better the model looks if photos are dealt out one by one.

    Args:
        rows: As for `score`.
        fold: Fold of each photo, whole units in each.
        units: Unit of each photo.
    """
    kernel, species = _kernel(_features(rows)), rows["species"]
    whole = _answers(kernel, species, fold)
    apart = stratified_groups.deal(rows["photo"], species, [1 / FOLDS] * FOLDS, 0)
    random = _answers(kernel, species, apart)
    difference = random.astype(float) - whole
    return Gap(
        Score.of(random, species, units),
        Score.of(whole, species, units),
        float(difference.mean()),
        _standard_error(difference, units),
    )


def _features(rows: pd.DataFrame) -> np.ndarray:
    """Width, height, width / height, sharpness and colour histogram, float32 (n, 68)."""
    numbers = rows[["width", "height", "sharpness"]].to_numpy(dtype=np.float32)
    aspect = numbers[:, :1] / numbers[:, 1:2]
    colours = [image_statistics.histogram(written) for written in rows["colours"]]
    return np.hstack([numbers, aspect, np.array(colours, dtype=np.float32).reshape(-1, 64)])


def _kernel(seen: np.ndarray) -> np.ndarray:
    """How alike photos are, float64 (n, n): 1 where they are the same, 1/e at the mean distance."""
    from scipy.spatial.distance import pdist, squareform

    apart = pdist(pd.DataFrame(seen).rank(pct=True), "cityblock")
    mean = apart.mean() if apart.any() else 1.0
    kernel = squareform(np.exp(apart / -mean))
    np.fill_diagonal(kernel, 1)
    return kernel


def _answers(kernel: np.ndarray, species: pd.Series, fold: np.ndarray) -> np.ndarray:
    """Whether a model that has learned from the other folds names each photo rightly, bool (n,).

    With a single fold nothing can be learned, and no answer is right.
    """
    from scipy.linalg import cho_factor, cho_solve

    kind, names = pd.factorize(species, sort=True)
    right = np.zeros(len(kind), dtype=bool)
    numbers = np.unique(fold)
    for number in numbers if len(numbers) > 1 else ():
        asked, known = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        alike = kernel[np.ix_(known, known)]
        alike[np.diag_indices_from(alike)] += _RIDGE
        # Turned over, which changes nothing in it, it lies as LAPACK wants it and is not copied.
        factor = cho_factor(alike.T, overwrite_a=True, check_finite=False)
        weights = cho_solve(factor, np.eye(len(names))[kind[known]])
        said = kernel[np.ix_(asked, known)] @ weights
        # Rounded, so that what is as likely to be one as the other is so on every machine.
        right[asked] = said.round(6).argmax(axis=1) == kind[asked]
    return right


def _standard_error(values: np.ndarray, units: pd.Series) -> float:
    """Of the mean of values of which those of one unit may depend on each other."""
    rest = pd.Series(values - values.mean()).groupby(units.to_numpy()).sum()
    return float((rest**2).sum() ** 0.5 / len(values))
