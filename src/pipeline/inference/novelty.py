"""Tells photos of animals that a network does not know from those of its species."""

import io
from dataclasses import dataclass, fields

import numpy as np

FILE = "novelty.npz"  # beside the network


@dataclass(frozen=True)
class NoveltyDetector:
    """Scores how little a photo is like those of the known species.

    The score is the sum of two z-scores. One is of the largest logit, negated (Hendrycks et al.
    2022, Scaling Out-of-Distribution Detection for Real-World Settings). The other is of the
    relative Mahalanobis distance (Ren et al. 2021, A Simple Fix to Mahalanobis Distance for
    Improving Near-OOD Detection): the squared distance of the features to the nearest species, less
    that to all photos together, so that what makes any photo unusual, such as its source, cancels
    out. Features are projected before, to axes in which the species' shared covariance is 1.

    Attributes:
        projection: From centred features to those axes, (axes, channels).
        centre: Of the features, (channels,).
        species: Means of the species on the axes, (species, axes).
        whole: From the axes to those in which the covariance of all photos is 1, (axes, axes).
        standard: Mean and standard deviation over known photos of the largest logit and of the
            relative distance, (2, 2).
        threshold: A photo with a higher score is of an unknown animal.
    """

    projection: np.ndarray
    centre: np.ndarray
    species: np.ndarray
    whole: np.ndarray
    standard: np.ndarray
    threshold: float

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Computes the relative Mahalanobis distance of photos, (n,), from features (n, channels).

        It may be below 0.
        """
        axes = (features - self.centre) @ self.projection.T
        apart = axes[:, None] - self.species
        nearest = np.square(apart).sum(axis=2).min(axis=1)
        return nearest - np.square(axes @ self.whole.T).sum(axis=1)

    def score(self, features: np.ndarray, logits: np.ndarray) -> np.ndarray:
        """Computes the score of photos; higher is less like the known species.

        Args:
            features: Pooled features of the network, (n, channels).
            logits: Its logits, (n, species).

        Returns:
            float (n,), in standard deviations.
        """
        return combined(logits.max(axis=1), self.distance(features), self.standard)

    def to_bytes(self) -> bytes:
        """Returns the content of its file, which `from_bytes` reads."""
        file = io.BytesIO()
        np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "NoveltyDetector":
        """Reads the content of its file; nothing in it is unpickled."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            values = {field.name: arrays[field.name] for field in fields(cls)}
        return cls(**values | {"threshold": float(values["threshold"])})


def combined(largest: np.ndarray, distance: np.ndarray, standard: np.ndarray) -> np.ndarray:
    """Sums the z-scores of two measures of novelty.

    Args:
        largest: The largest logit of each photo, (n,).
        distance: The relative Mahalanobis distance of each, (n,).
        standard: As in `NoveltyDetector`.
    """
    (logit, logits_spread), (middle, distances_spread) = standard
    return (distance - middle) / distances_spread - (largest - logit) / logits_spread
