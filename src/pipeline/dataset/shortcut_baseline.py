"""Measures the accuracy that a model reaches without seeing the animal: the shortcut baseline.

The model gets each photo's size, sharpness and colour histogram alone. Its accuracy shows how
closely source, place or light and species are linked in the collection, and an accuracy of a
recogniser must be read against it.

It is a kernel ridge regression on the ranks of the features, with a Laplacian kernel. On two
collections of real photos its accuracy is 0.56 and 0.59, where a random forest of 100 trees has
0.55 and 0.57 in several times the time. It computes the same as scikit-learn's
(tests/dataset/test_shortcut_baseline.py), which takes longer to import than this takes to run.
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
    """The model's score on photos that it was not trained on.

    Attributes:
        photos: How many they are.
        accuracy: Share of them that got the right species.
        standard_error: Of the accuracy; units that stay together count as one draw each.
        guess: Accuracy of always answering the most common species.
    """

    photos: int
    accuracy: float
    standard_error: float
    guess: float

    @classmethod
    def of(cls, right: np.ndarray, species: pd.Series, units: pd.Series) -> "Score":
        """Scores answers.

        Args:
            right: Whether each photo's answer is right, bool (n,).
            species: The actual species of each.
            units: What must stay together, of each.

        Returns:
            The score; all zero for no photos.
        """
        if not len(right):
            return cls(0, 0.0, 0.0, 0.0)
        error = _standard_error(right, units)
        guess = species.value_counts(normalize=True).max()
        return cls(len(right), float(right.mean()), error, float(guess))

    def __str__(self) -> str:
        return f"{self.accuracy:.3f} ± {self.standard_error:.3f}"


@dataclass(frozen=True)
class Gap:
    """By how much a split that cuts through groups would overestimate the accuracy.

    Attributes:
        random: The score over folds of single photos.
        grouped: The score over folds of whole units.
        gap: `random` less `grouped`.
        standard_error: Of the gap; the photos are the same, so it is smaller than the scores'.
    """

    random: Score
    grouped: Score
    gap: float
    standard_error: float

    def __str__(self) -> str:
        return f"{self.gap:+.3f} ± {self.standard_error:.3f} ({self.random} and {self.grouped})"


def sample(manifest: pd.DataFrame) -> pd.DataFrame:
    """Samples whole groups of a manifest, up to 2,000 photos, at most ten of a group.

    The hashes of the groups' names decide, so that added and removed photos change little.

    Args:
        manifest: A row a photo, with a column group.
    """
    few = manifest.loc[manifest.groupby("group").cumcount() < _PER_GROUP, "group"]
    places = np.fromiter((stratified_groups.place(0, name) for name in few), float, len(few))
    chosen = few.index[places.argsort(kind="stable")[:_PHOTOS]]
    return manifest.loc[chosen.sort_values()]


def appearance(manifest: pd.DataFrame, inspected: pd.DataFrame) -> pd.DataFrame:
    """Returns what the model sees of a manifest's `sample`, besides sizes.

    Args:
        manifest: The accepted photos.
        inspected: A row a file, from `manifest.inspect`.

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
    """Scores the model over folds of whole groups.

    Args:
        rows: With columns photo, species, group, width, height, sharpness and colours.
    """
    fold = stratified_groups.deal(rows["group"], rows["species"], [1 / FOLDS] * FOLDS, 0)
    right = _answers(_kernel(_features(rows)), rows["species"], fold)
    return Score.of(right, rows["species"], rows["group"])


def gap(rows: pd.DataFrame, fold: np.ndarray, units: pd.Series) -> Gap:
    """Measures how much the score rises if single photos are dealt to the folds.

    Args:
        rows: A row a photo, with columns photo, species, group, width, height, sharpness and
            colours.
        fold: Fold of each photo, int (n,), whole units in each.
        units: Unit of each photo.
    """
    kernel, species = _kernel(_features(rows)), rows["species"]
    grouped = _answers(kernel, species, fold)
    apart = stratified_groups.deal(rows["photo"], species, [1 / FOLDS] * FOLDS, 0)
    random = _answers(kernel, species, apart)
    difference = random.astype(float) - grouped
    return Gap(
        Score.of(random, species, units),
        Score.of(grouped, species, units),
        float(difference.mean()),
        _standard_error(difference, units),
    )


def _features(rows: pd.DataFrame) -> np.ndarray:
    """Returns width, height, width / height, sharpness and colour histogram, float32 (n, 68)."""
    numbers = rows[["width", "height", "sharpness"]].to_numpy(dtype=np.float32)
    aspect = numbers[:, :1] / numbers[:, 1:2]
    colours = [image_statistics.histogram(written) for written in rows["colours"]]
    return np.hstack([numbers, aspect, np.array(colours, dtype=np.float32).reshape(-1, 64)])


def _kernel(seen: np.ndarray) -> np.ndarray:
    """Returns similarities, float64 (n, n): 1 for equal photos, 1/e at the mean distance."""
    from scipy.spatial.distance import pdist, squareform

    apart = pdist(pd.DataFrame(seen).rank(pct=True), "cityblock")
    mean = apart.mean() if apart.any() else 1.0
    kernel = squareform(np.exp(apart / -mean))
    np.fill_diagonal(kernel, 1)
    return kernel


def _answers(kernel: np.ndarray, species: pd.Series, fold: np.ndarray) -> np.ndarray:
    """Returns whether a model fitted to the other folds gets each photo right, bool (n,).

    With a single fold there is nothing to fit to, and no answer is right.
    """
    from scipy.linalg import cho_factor, cho_solve

    kind, names = pd.factorize(species, sort=True)
    right = np.zeros(len(kind), dtype=bool)
    numbers = np.unique(fold)
    for number in numbers if len(numbers) > 1 else ():
        held_out, fitted = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        regularised = kernel[np.ix_(fitted, fitted)]
        regularised[np.diag_indices_from(regularised)] += _RIDGE
        # The transpose of this symmetric matrix has the memory layout of LAPACK and is not copied.
        factor = cho_factor(regularised.T, overwrite_a=True, check_finite=False)
        weights = cho_solve(factor, np.eye(len(names))[kind[fitted]])
        scores = kernel[np.ix_(held_out, fitted)] @ weights
        # Rounded, so that ties are ties on every machine.
        right[held_out] = scores.round(6).argmax(axis=1) == kind[held_out]
    return right


def _standard_error(values: np.ndarray, units: pd.Series) -> float:
    """Returns the standard error of a mean whose values may depend on others of their unit."""
    rest = pd.Series(values - values.mean()).groupby(units.to_numpy()).sum()
    return float((rest**2).sum() ** 0.5 / len(values))
