"""Fits all that turns a network's outputs into answers, to photos that training held out."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset.shards import Shards
from pipeline.evaluate import (
    events,
    explanation,
    open_set_fit,
    predictions,
    robustness,
    taxonomy_fit,
)
from pipeline.evaluate.candidates import Candidate
from pipeline.evaluate.conversion import Converted
from pipeline.inference import novelty, pooling, taxonomy
from pipeline.inference.calibration import Calibration
from pipeline.monitor import drift
from pipeline.networks.backbones import Classifier
from pipeline.networks.litert_export import Description
from pipeline.train.metrics import positions


@dataclass(frozen=True)
class Fitted:
    """Holds the parts that stand beside a network that is served.

    Attributes:
        labels: The species, in the order of the network's answers.
        calibration: Of its probabilities.
        open_set: What tells known species, unknown animals and no animal apart.
        pooling: Of the frames of an event; None where photos come alone.
        taxonomy: Of the species; None where no two share a genus or more.
    """

    labels: tuple[str, ...]
    calibration: Calibration
    open_set: open_set_fit.FittedOpenSetRule
    pooling: pooling.Pooling | None
    taxonomy: taxonomy.Taxonomy | None

    def description(self, fit: str, max_pixels: int) -> Description:
        """Returns the content of `labels.json`; the arguments are as in `decoding.square`."""
        imagenet = self.open_set.rule.imagenet
        calibration = asdict(self.calibration)
        return Description(self.labels, fit, max_pixels, calibration, imagenet and asdict(imagenet))

    def files(self, shards: Shards) -> dict[str, bytes]:
        """Returns the other files that stand beside the network, by name."""
        files = {drift.REFERENCE: drift.reference(shards, self.open_set.validation_answers())}
        if self.open_set.rule.novelty is not None:
            files[novelty.FILE] = self.open_set.rule.novelty.to_bytes()
        if self.pooling is not None:
            files[pooling.FILE] = self.pooling.written()
        if self.taxonomy is not None:
            files[taxonomy.FILE] = self.taxonomy.written()
        return files

    def tested(self, test: pd.DataFrame, answers: np.ndarray) -> dict[str, Any]:
        """Judges the answers to events and at each rank.

        Args:
            test: The test pictures: species and event.
            answers: The calibrated answers to them, (n, species).

        Returns:
            The sections `events` and `ranks` of `metrics.json`, as far as there are any.
        """
        targets = positions(test["species"], self.labels)
        ranks = taxonomy_fit.tested(self.taxonomy, answers, targets)
        return events.tested(self.pooling, test, answers, self.labels) | ranks

    def examined(self, network: bytes, shards: Shards, test: pd.DataFrame) -> dict[str, Any]:
        """Returns the sections of `metrics.json` on worsened pictures and on heat maps.

        Args:
            network: The network that is served, as the contents of a `.tflite` file.
            shards: The resized pictures.
            test: The test pictures, as `predictions.photos_of` returns them.
        """
        worse = robustness.measure(network, shards, test, self.labels, self.calibration)
        hidden = explanation.measure(network, shards, test)
        return {"robustness": worse} | ({} if hidden is None else {"explanation": hidden})


def fit(
    candidate: Candidate,
    converted: Converted,
    shards: Shards,
    manifest: pd.DataFrame,
    split: pd.DataFrame,
    classifier: Classifier | None,
) -> Fitted:
    """Fits what stands beside a network.

    Args:
        candidate: The network as it was trained, and its answers to the photos held out.
        converted: The same as it is served.
        shards: The resized pictures.
        manifest: A row a photo, with columns photo, species, event and taxonomic ranks.
        split: A row a photo, with columns photo, group and fold.
        classifier: ImageNet's, that the network carries; None if it carries none.
    """
    calibration = candidate.calibration(split)
    held_out = candidate.held_out_pictures(shards.index)
    photos = open_set_fit.photos(held_out, candidate.labels, calibration, split)
    if "features" in photos and converted.precision == "float":
        features = np.stack(photos["features"])
    else:  # they were trained further, or are others in int8
        rows = predictions.outputs(converted.network, shards, photos, "photos held out")
        features = np.stack([row["features"] for row in rows])
    open_set = open_set_fit.fit(photos, features, calibration.unknown_below, classifier)
    event = manifest.set_index("photo")["event"]
    pooled = events.fit(held_out, event, calibration, candidate.labels)
    answers = calibration.apply(np.stack(held_out["probabilities"]))
    names = taxonomy_fit.names(manifest, candidate.labels)
    targets = positions(held_out["species"], candidate.labels)
    ranks = taxonomy_fit.fit(names, answers, targets)
    return Fitted(candidate.labels, calibration, open_set, pooled, ranks)
