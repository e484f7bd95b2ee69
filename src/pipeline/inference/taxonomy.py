"""Says genus, family, order or class where the species is unsure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

FILE = "taxonomy.json"  # beside the network
RANKS = ("species", "genus", "family", "order", "class")  # from the lowest to the highest


@dataclass(frozen=True)
class Taxonomy:
    """The ranks above each species, and how sure an answer must be.

    Attributes:
        names: The name of each species at each of `RANKS`, in the order of the network's answers.
            Where a rank is not known it is the species' own, so that it is shared with none.
        sure_from: The summed probability that an answer must reach, by the species that the photo
            looks most like, in the same order; or one for all.
    """

    names: Mapping[str, Sequence[str]]
    sure_from: Sequence[float] | float

    @classmethod
    def load(cls, recogniser: Path) -> "Taxonomy | None":
        """Reads it from a recogniser's folder; None where that one knows no ranks."""
        file = recogniser / FILE
        return cls(**json.loads(file.read_text())) if file.exists() else None

    def written(self) -> bytes:
        """Returns the content of its file."""
        return f"{json.dumps(asdict(self), indent=2)}\n".encode()

    def summed(self, probabilities: np.ndarray, rank: str) -> tuple[np.ndarray, np.ndarray]:
        """Sums probabilities over the species of each taxon of a rank.

        Args:
            probabilities: Calibrated, (n, species).
            rank: One of `RANKS`.

        Returns:
            The names of the taxa, sorted, and their probabilities, (n, taxa).
        """
        taxa, number = np.unique(np.array(self.names[rank]), return_inverse=True)
        return taxa, probabilities @ np.eye(len(taxa))[number]

    def least(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the summed probability that the answer to each photo must reach, (n,).

        Args:
            probabilities: Calibrated, (n, species).
        """
        by_species = np.broadcast_to(self.sure_from, probabilities.shape[1])
        return by_species[probabilities.argmax(axis=1)]

    def answer(self, probabilities: np.ndarray) -> dict[str, Any]:
        """Returns the lowest taxon that is sure.

        Args:
            probabilities: Calibrated, of one photo, (species,).

        Returns:
            `rank`, `taxon` (its name) and `taxon_probability`, summed over its species. Where not
            even the class is sure the first two are None, and the probability is that of the most
            probable class.
        """
        (least,) = self.least(probabilities[None])
        for rank in RANKS:
            taxa, summed = self.summed(probabilities[None], rank)
            best = int(summed[0].argmax())
            probability = float(summed[0, best])
            if probability >= least:
                return {"rank": rank, "taxon": str(taxa[best]), "taxon_probability": probability}
        return {"rank": None, "taxon": None, "taxon_probability": probability}
