"""Decides whether a photo shows a known species, an unknown animal, or no animal at all.

Nothing of the project is imported: a served model carries this file along.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.inference.imagenet import ImageNet
from pipeline.inference.novelty import NoveltyDetector

SPECIES, UNKNOWN_ANIMAL, NO_ANIMAL = "species", "unknown_animal", "no_animal"
KNOWN = 0.95  # share of the photos held out that the thresholds are fitted to take for known


@dataclass(frozen=True)
class AnswerKind:
    """The kind of answer that a photo gets.

    Attributes:
        kind: `species`, `unknown_animal` or `no_animal`.
        reason: Why, as a sentence.
        looks_like: The animal among ImageNet's that an unknown animal looks most like; None for
            other kinds, and for networks without ImageNet's classifier.
    """

    kind: str
    reason: str
    looks_like: str | None = None

    def described(self) -> dict[str, str]:
        """Returns its part of an answer."""
        like = {} if self.looks_like is None else {"looks_like": self.looks_like}
        return {"kind": self.kind, "reason": self.reason, **like}


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
    ) -> AnswerKind:
        """Decides what kind of answer a photo gets.

        Args:
            outputs: Of the network: `features` (channels,) and `logits` (species,) for the
                detector, `imagenet` (1000,) for the classifier.
            probability: Of the most probable species, calibrated.
            threshold: An answer less probable than this is unknown. Defaults to None: the detector
                decides.
        """
        if self.imagenet is not None:
            animal = float(self.imagenet.animal(outputs["imagenet"]))
            if animal < self.imagenet.animal_from:
                return AnswerKind(
                    NO_ANIMAL,
                    f"ImageNet's classifier sees an animal with a probability of {animal:.2f}, "
                    f"below {self.imagenet.animal_from:.2f}",
                )
        unknown, reason = self._is_unknown(outputs, probability, threshold)
        if not unknown:
            return AnswerKind(SPECIES, reason)
        like = self.imagenet.looks_like(outputs["imagenet"]) if self.imagenet else None
        return AnswerKind(UNKNOWN_ANIMAL, reason, like)

    def _is_unknown(
        self, outputs: Mapping[str, np.ndarray], probability: float, threshold: float | None
    ) -> tuple[bool, str]:
        if threshold is None and self.novelty is not None:
            score = self.novelty.score(outputs["features"][None], outputs["logits"][None]).item()
            limit = self.novelty.threshold
            if score > limit:
                of = f"novelty {score:.2f}, above {limit:.2f}"
                few = f"it is less like the known species than {KNOWN:.0%} of their photos"
                return True, f"{few}: {of}"
            return False, f"it is like photos of the species: novelty {score:.2f} of {limit:.2f}"
        limit = self.unknown_below if threshold is None else threshold
        unknown = probability < limit
        word = "below" if unknown else "not below"
        return unknown, f"the probability {probability:.2f} is {word} {limit:.2f}"
