"""Fits what tells known species, unknown animals and no animal apart, to photos held out."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.evaluate import novelty_fit
from pipeline.inference.calibration import Calibration
from pipeline.inference.open_set import ImageNet, OpenSetRule
from pipeline.networks import served_outputs
from pipeline.networks.backbones import Classifier
from pipeline.train.held_out import draw

ANIMAL_FROM = 0.3  # 96 to 98 % of pictures without an animal are below, and 1 % of those with one
FALSE_ALARMS = 0.015  # share of the photos held out that may be taken for no animal
FOLDS = 5  # where training had none


@dataclass(frozen=True)
class FittedOpenSetRule:
    """A rule, and what it says of the photos that it was fitted to.

    Attributes:
        rule: The rule.
        held_out: The photos, as `photos` returns them, and whether each is `unknown`, that is,
            of no known species. Its score is by what was fitted to others, the threshold to all.
    """

    rule: OpenSetRule
    held_out: pd.DataFrame

    def validation_answers(self) -> pd.DataFrame:
        """Returns species (the predicted one), probability and unknown of each validation photo."""
        validation = self.held_out[self.held_out["split"] == "validation"]
        answers = validation[["predicted", "probability", "unknown"]]
        return answers.rename(columns={"predicted": "species"})


def photos(
    held_out: pd.DataFrame, labels: tuple[str, ...], calibration: Calibration, split: pd.DataFrame
) -> pd.DataFrame:
    """Draws the photos to fit a rule to.

    Args:
        held_out: The photos that training held out, as `Candidate.held_out_pictures` returns them.
        labels: The species, in the order of their probabilities.
        calibration: Of the probabilities.
        split: A row a photo, with columns photo, group and fold (null where training had none).

    Returns:
        Rows of `held_out` with its index: photo, split, species, predicted, probability (of the
        predicted species, calibrated), largest_logit, fold, which near-duplicates share, and
        features, where training had them.
    """
    has_features = "features" in held_out
    drawn = held_out[held_out["features"].notna()] if has_features else draw(held_out)
    columns = ["photo", "split", "species", "largest_logit", *["features"] * has_features]
    probabilities = calibration.apply(np.stack(drawn["probabilities"]))
    return drawn[columns].assign(
        predicted=np.array(labels)[probabilities.argmax(axis=1)],
        probability=probabilities.max(axis=1),
        fold=_folds(drawn["photo"], split),
    )


def fit(
    held_out: pd.DataFrame,
    features: np.ndarray,
    unknown_below: float,
    classifier: Classifier | None,
) -> FittedOpenSetRule:
    """Fits a rule.

    Args:
        held_out: The photos, as `photos` returns them.
        features: What the served network pools from each, float (n, channels).
        unknown_below: As in `calibration.Calibration`.
        classifier: ImageNet's, that the network carries; None if it carries none.
    """
    columns = (held_out[name].to_numpy() for name in ("largest_logit", "species", "fold"))
    fitted = novelty_fit.fit(features, *columns)
    if fitted is None:
        novelty = None
        unknown = (held_out["probability"] < unknown_below).to_numpy()
    else:
        novelty, scores = fitted
        unknown = scores > novelty.threshold
    imagenet = None
    if classifier is not None:
        imagenet = ImageNet(classifier.of, served_outputs.animals(), ANIMAL_FROM)
        animal = imagenet.animal(classifier.logits(features))
        # Species that are no animals to ImageNet's classifier, as `blank` or plants, lower it.
        lowest = float(np.sort(animal)[int(len(animal) * FALSE_ALARMS)])
        imagenet = replace(imagenet, animal_from=min(ANIMAL_FROM, lowest))
        unknown = unknown | (animal < imagenet.animal_from)
    rule = OpenSetRule(unknown_below, novelty, imagenet)
    return FittedOpenSetRule(rule, held_out.assign(unknown=unknown))


def _folds(photos: pd.Series, split: pd.DataFrame) -> np.ndarray:
    """Returns the fold of each photo, int (n,): that of training, or else one of its group's."""
    rows = split.set_index("photo").loc[photos]
    if rows["fold"].isna().any():
        return pd.factorize(rows["group"])[0] % FOLDS
    return rows["fold"].to_numpy(dtype=np.int64)
