"""Says genus, family, order or class where the species is unsure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

FILE = "taxonomy.json"  # beside the network
RANKS = ("species", "genus", "family", "order", "class")  # from the lowest to the highest


class Taxon(NamedTuple):
    """The narrowest taxon that a photo surely shows.

    Attributes:
        rank: One of `RANKS`; None where not even the class is sure.
        name: Of the taxon; None where `rank` is.
        probability: Summed over the species of the taxon; of the most probable class where nothing
            is sure.
    """

    rank: str | None
    name: str | None
    probability: float


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

    def answer(self, probabilities: np.ndarray) -> Taxon:
        """Returns the lowest taxon that is sure.

        Args:
            probabilities: Calibrated, of one photo, (species,).
        """
        (least,) = self.least(probabilities[None])
        for rank in RANKS:
            taxa, summed = self.summed(probabilities[None], rank)
            best = int(summed[0].argmax())
            if summed[0, best] >= least:
                return Taxon(rank, str(taxa[best]), float(summed[0, best]))
        return Taxon(None, None, float(summed[0, best]))

    def described(self, probabilities: np.ndarray) -> dict[str, Any]:
        """Returns the part of an answer that it adds: rank, taxon and taxon_probability."""
        taxon = self.answer(probabilities)
        return {"rank": taxon.rank, "taxon": taxon.name, "taxon_probability": taxon.probability}
