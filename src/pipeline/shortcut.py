"""How far one gets without looking at the animal: what an accuracy must be read against.

A random forest sees each photo's size, sharpness and colour histogram alone. Whatever it reaches,
it reaches because source, place or light and species go together in the collection.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from pipeline import parallel, quality, stratify

FOLDS = 5
_TREES = 100  # twice as many gain 0.002 to 0.006 on real photos
_PHOTOS = 3000  # a standard error of 0.01
_PER_GROUP = 10  # so that one long burst is not all of the sample


@dataclass(frozen=True)
class Score:
    """What the forest reached on photos it had not learned from.

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
    """Rows of a manifest that stand for it: whole groups up to 3,000 photos, ten of a group.

    Which groups is decided by the hashes of their names, so other photos that come or go change
    little.
    """
    few = manifest.loc[manifest.groupby("group").cumcount() < _PER_GROUP, "group"]
    places = np.fromiter((stratify.place(0, name) for name in few), float, len(few))
    chosen = few.index[places.argsort(kind="stable")[:_PHOTOS]]
    return manifest.loc[chosen.sort_values()]


def score(rows: pd.DataFrame, jobs: int) -> Score:
    """How well the forest tells the species apart when groups stay whole.

    Args:
        rows: With columns photo, species, group, width, height, sharpness and colours.
        jobs: Processes to use; they change no answer.
    """
    fold = stratify.deal(rows["group"], rows["species"], [1 / FOLDS] * FOLDS, 0)
    right = _answers(_features(rows), rows["species"], fold, jobs)
    return Score.of(right, rows["species"], rows["group"])


def gap(rows: pd.DataFrame, fold: np.ndarray, units: pd.Series, jobs: int) -> Gap:
    """How much better the forest looks if photos are dealt out one by one.

    Args:
        rows: As for `score`.
        fold: Fold of each photo, whole units in each.
        units: Unit of each photo.
        jobs: Processes to use; they change no answer.
    """
    seen, species = _features(rows), rows["species"]
    whole = _answers(seen, species, fold, jobs)
    apart = stratify.deal(rows["photo"], species, [1 / FOLDS] * FOLDS, 0)
    random = _answers(seen, species, apart, jobs)
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
    colours = [quality.histogram(written) for written in rows["colours"]]
    return np.hstack([numbers, aspect, np.array(colours, dtype=np.float32).reshape(-1, 64)])


def _answers(seen: np.ndarray, species: pd.Series, fold: np.ndarray, jobs: int) -> np.ndarray:
    """Whether a forest that has learned from the other folds names each photo rightly, bool (n,).

    With a single fold nothing can be learned, and no answer is right.
    """
    names = species.to_numpy(dtype=str)
    right = np.zeros(len(names), dtype=bool)
    numbers = np.unique(fold).tolist()
    if len(numbers) > 1:
        asked = parallel.each(partial(_ask, seen, names, fold), numbers, jobs)
        for number, answered in zip(numbers, asked, strict=True):
            right[fold == number] = answered == names[fold == number]
    return right


def _standard_error(values: np.ndarray, units: pd.Series) -> float:
    """Of the mean of values of which those of one unit may depend on each other."""
    rest = pd.Series(values - values.mean()).groupby(units.to_numpy()).sum()
    return float((rest**2).sum() ** 0.5 / len(values))


def _ask(seen: np.ndarray, names: np.ndarray, fold: np.ndarray, number: int) -> np.ndarray:
    from sklearn.ensemble import RandomForestClassifier  # a second to import, in each process

    forest = RandomForestClassifier(_TREES, random_state=0)
    return forest.fit(seen[fold != number], names[fold != number]).predict(seen[fold == number])
