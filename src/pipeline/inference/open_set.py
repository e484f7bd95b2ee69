"""Decides whether a photo shows a known species, an unknown animal, or no animal at all."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.inference.novelty import NoveltyDetector

SPECIES, UNKNOWN_ANIMAL, NO_ANIMAL = "species", "unknown_animal", "no_animal"
KNOWN = 0.95  # share of the photos held out that the thresholds are fitted to take for known


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


@dataclass(frozen=True)
class OpenSetRule:
    """Tells known species, unknown animals and no animal apart, by all outputs of a network.

    Attributes:
        unknown_below: Without a detector, an answer less probable than this is unknown.
        novelty: Tells unknown animals; None for networks whose features it cannot see.
        imagenet: Tells pictures without an animal; None for networks without its classifier.
    """

    unknown_below: float
    novelty: NoveltyDetector | None = None
    imagenet: ImageNet | None = None

    def answer_kind(
        self,
        outputs: Mapping[str, np.ndarray],
        probability: float,
        threshold: float | None = None,
    ) -> dict[str, str]:
        """Decides what kind of answer a photo gets.

        Args:
            outputs: Of the network: `features` (channels,) and `logits` (species,) for the
                detector, `imagenet` (1000,) for the classifier.
            probability: Of the most probable species, calibrated.
            threshold: An answer less probable than this is unknown. Defaults to None: the detector
                decides.

        Returns:
            `kind`: `species`, `unknown_animal` or `no_animal`; `reason`, as a sentence; and of an
            unknown animal what it `looks_like` most among ImageNet's, if the network has its
            classifier.
        """
        if self.imagenet is not None:
            animal = float(self.imagenet.animal(outputs["imagenet"]))
            if animal < self.imagenet.animal_from:
                reason = (
                    f"ImageNet's classifier sees an animal with a probability of {animal:.2f}, "
                    f"below {self.imagenet.animal_from:.2f}"
                )
                return {"kind": NO_ANIMAL, "reason": reason}
        if threshold is None and self.novelty is not None:
            score = self.novelty.score(outputs["features"][None], outputs["logits"][None]).item()
            limit = self.novelty.threshold
            unknown = score > limit
            reason = f"it is like photos of the species: novelty {score:.2f} of {limit:.2f}"
            if unknown:
                few = f"it is less like the known species than {KNOWN:.0%} of their photos"
                reason = f"{few}: novelty {score:.2f}, above {limit:.2f}"
        else:
            limit = self.unknown_below if threshold is None else threshold
            unknown = probability < limit
            word = "below" if unknown else "not below"
            reason = f"the probability {probability:.2f} is {word} {limit:.2f}"
        answer = {"kind": UNKNOWN_ANIMAL if unknown else SPECIES, "reason": reason}
        if unknown and self.imagenet is not None:
            answer["looks_like"] = self.imagenet.looks_like(outputs["imagenet"])
        return answer
