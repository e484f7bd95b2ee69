"""Runs the backbone's own ImageNet classifier on a photo.

Nothing of the project is imported: a served model carries this file along.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageNet:
    """Reads the logits of ImageNet's 1,000 classes, of which the first 398 are animals.

    Attributes:
        of: The backbone whose classifier it is.
        animals: Names of the animals, in the order of the classes (ILSVRC 2012).
        animal_from: A photo in which the animals together have a lower probability shows none.
    """

    of: str
    animals: tuple[str, ...]
    animal_from: float

    def animal(self, logits: np.ndarray) -> np.ndarray:
        """Computes the probability of all animals together, (...), from logits (..., 1000)."""
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return powers[..., : len(self.animals)].sum(axis=-1) / powers.sum(axis=-1)

    def looks_like(self, logits: np.ndarray) -> str:
        """Names the most probable animal, from logits (1000,)."""
        return self.animals[int(logits[: len(self.animals)].argmax())]
