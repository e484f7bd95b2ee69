"""Computes the scores of a recogniser's answers, for many weightings of the photos at once."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from pipeline.inference.pooling import BLANK
from pipeline.train.metrics import Score, calibration_error

TOP = (3, 5)


class Scores:
    """The answers of a recogniser, prepared for scoring.

    A weighting says how much each photo counts: a draw of the bootstrap is one, and `once` counts
    each photo once.

    Args:
        probabilities: (n, species), rows summing to 1.
        targets: The right positions, int (n,).
        labels: The species, in the order of the probabilities. Defaults to none, which is right
            where `blank` is not one of them.
    """

    def __init__(
        self, probabilities: np.ndarray, targets: np.ndarray, labels: tuple[str, ...] = ()
    ) -> None:
        photos, species = probabilities.shape
        predicted = probabilities.argmax(axis=1)
        likely = probabilities[np.arange(photos), targets].astype(np.float64)
        first = np.argsort(-probabilities, axis=1, kind="stable")[:, : max(TOP)]
        hits = first == targets[:, None]
        values = {
            "accuracy": predicted == targets,
            **{f"top{k}": hits[:, :k].any(axis=1) for k in TOP},
            "log_loss": -np.log(likely.clip(1e-12)),
            "brier": np.square(probabilities, dtype=np.float64).sum(axis=1) - 2 * likely + 1,
        }
        self.photos, self.labels, self._names = photos, labels, list(values)
        self._probabilities, self._targets = probabilities, targets
        self._values = np.stack(list(values.values())).astype(np.float64)
        self.actual = _indicator(targets, np.arange(photos), species, photos)
        self.predicted = _indicator(predicted, np.arange(photos), species, photos)
        self._hits = self.actual * self.predicted
        self._averaged = [i for i in np.unique(targets) if i >= len(labels) or labels[i] != BLANK]
        self._rankings = [_Ranking(probabilities[:, i], targets == i) for i in range(species)]

    @property
    def once(self) -> np.ndarray:
        """The weighting that counts each photo once, (n, 1)."""
        return np.ones((self.photos, 1))

    def values(self, *names: str) -> np.ndarray:
        """Returns what each photo adds to the means of these names, (names, n)."""
        return self._values[[self._names.index(name) for name in names]]

    def means(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Computes the scores that are means over photos.

        Args:
            weights: (n, weightings).

        Returns:
            accuracy, top3, top5, log_loss (nats) and brier (Brier 1950: 0 to 2), (weightings,).
        """
        means = self._values @ weights / weights.sum(axis=0)
        return dict(zip(self._names, means, strict=True))

    def counts(self, weights: np.ndarray) -> "Counts":
        """Counts photos by species.

        Args:
            weights: (n, weightings).
        """
        return Counts(self._hits @ weights, self.actual @ weights, self.predicted @ weights)

    def species_means(self, counts: "Counts") -> dict[str, np.ndarray]:
        """Computes balanced_accuracy and macro_f1: means over the species that occur, less `blank`.

        Args:
            counts: From `counts`.

        Returns:
            (weightings,) by name.
        """
        recall, f1 = counts.recall[self._averaged], counts.f1[self._averaged]
        return {"balanced_accuracy": recall.mean(axis=0), "macro_f1": f1.mean(axis=0)}

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """Computes each species' average precision, as scikit-learn defines it.

        Args:
            weights: (n, weightings).

        Returns:
            (species, weightings); NaN for a species of which there is no photo.
        """
        return np.stack([ranking.average_precision(weights) for ranking in self._rankings])

    def summary(self) -> dict[str, float]:
        """Computes the metrics of a recogniser.

        Returns:
            photos, accuracy, standard_error (binomial), balanced_accuracy and macro_f1 (means over
            the species that occur, of which `blank` is none), top3, top5, log_loss (nats), brier (0
            to 2), calibration_error.
        """
        values = self.means(self.once) | self.species_means(self.counts(self.once))
        names = ("balanced_accuracy", "macro_f1", "top3", "top5", "log_loss", "brier")
        return {
            "photos": self.photos,
            "accuracy": values["accuracy"].item(),
            "standard_error": Score.of(self._probabilities, self._targets).standard_error,
            **{name: values[name].item() for name in names},
            "calibration_error": calibration_error(self._probabilities, self._targets),
        }

    def per_species(self) -> pd.DataFrame:
        """Computes the scores of each species.

        Returns:
            A row a species in the order of `labels`: species, precision, recall, f1,
            average_precision (NaN for a species without a photo), support (photos).
        """
        counts = self.counts(self.once)
        columns = {
            "precision": counts.precision,
            "recall": counts.recall,
            "f1": counts.f1,
            "average_precision": self.average_precision(self.once),
            "support": counts.actual.astype(int),
        }
        return pd.DataFrame({"species": self.labels} | {k: v[:, 0] for k, v in columns.items()})


@dataclass(frozen=True)
class Counts:
    """Counts of a species: its photos, those named so, and those named rightly.

    Attributes:
        hits: Photos of the species that were named so, (species, weightings).
        actual: Photos of the species.
        predicted: Photos that were named so.
    """

    hits: np.ndarray
    actual: np.ndarray
    predicted: np.ndarray

    @property
    def precision(self) -> np.ndarray:
        """Share of the photos named so that are of the species; 0 where none is named so."""
        return _share(self.hits, self.predicted)

    @property
    def recall(self) -> np.ndarray:
        """Share of the species' photos that are named so; 0 where there are none."""
        return _share(self.hits, self.actual)

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall; 0 where both are."""
        return _share(2 * self.hits, self.actual + self.predicted)


class _Ranking:
    """Photos by their probability of a species, in blocks that each end where recall rises.

    Photos of one probability cannot be told apart and are in one block. Those behind the last that
    shows the species change nothing and are left out.

    Attributes:
        all: The photos of each block, (blocks, n).
        shown: Those of them that show the species, (blocks, n).
    """

    def __init__(self, probabilities: np.ndarray, shows: np.ndarray) -> None:
        _, level = np.unique(-probabilities, return_inverse=True)  # 0 is the most probable
        ends = np.unique(level[shows])
        block = np.searchsorted(ends, level)
        inside = np.flatnonzero(block < len(ends))
        shown, shape = np.flatnonzero(shows), (len(ends), len(shows))
        self.all = _indicator(block[inside], inside, *shape)
        self.shown = _indicator(block[shown], shown, *shape)

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        if not self.all.shape[0]:
            return np.full(weights.shape[1], np.nan)
        gained, named = self.shown @ weights, (self.all @ weights).cumsum(axis=0)
        hits = gained.cumsum(axis=0)
        return (gained * hits / named).sum(axis=0) / hits[-1]


def _indicator(rows: np.ndarray, columns: np.ndarray, height: int, width: int) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows)), (rows, columns)), (height, width))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)
