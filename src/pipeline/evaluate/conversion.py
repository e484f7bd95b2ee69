"""Converts the chosen network to what is served, and proves that it still answers the same."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pipeline.core.errors import UserError
from pipeline.dataset.shards import Shards
from pipeline.evaluate.predictions import predict
from pipeline.networks import litert_export
from pipeline.networks.litert_export import Agreement

if TYPE_CHECKING:
    import keras

MIN_SAME_LABEL = 0.95  # of the labels, int8 beside float; 0.992 to 0.998 was seen on real photos
_AT_ONCE = 8  # pictures in Keras: what its layers hold of 32 is 0.8 GB


@dataclass(frozen=True)
class Converted:
    """A network as LiteRT runs it.

    Attributes:
        precision: `float` or `int8`.
        network: The contents of the `.tflite` file that is tested and served.
        keras_and_litert: How the Keras network and the LiteRT one, in float, differ.
        same_label: Share of validation pictures to which int8 and float give the same species;
            None in float.
    """

    precision: str
    network: bytes
    keras_and_litert: Agreement
    same_label: float | None = None

    def described(self) -> dict[str, Any]:
        """Returns its sections of `metrics.json`."""
        agreement = {} if self.same_label is None else {"same_label_as_float": self.same_label}
        return {
            "keras_and_litert": asdict(self.keras_and_litert),
            "precision": {"served": self.precision, **agreement},
        }


def convert(
    model: "keras.Model", answering: "keras.Model", shards: Shards, compared: pd.DataFrame
) -> Converted:
    """Converts a network to LiteRT in float.

    Args:
        model: The network, from pixels to probabilities.
        answering: The same with all outputs, as `served_outputs.answering` builds it.
        shards: The resized pictures.
        compared: The pictures on which both must agree; its index is their positions.

    Raises:
        UserError: The two give a picture other labels, or probabilities 0.001 apart.
    """
    network = litert_export.to_litert(answering)
    agreement = litert_export.compare(
        litert_export.predict_on_cpu(model, shards.batches(compared.index, _AT_ONCE)),
        predict(network, shards, compared, "to compare with Keras"),
    )
    return Converted("float", network, agreement)


def quantize(
    answering: "keras.Model",
    converted: Converted,
    shards: Shards,
    split: pd.DataFrame,
    validation: pd.DataFrame,
) -> Converted:
    """Converts a network to int8, calibrated on training pictures.

    Args:
        answering: The network that `converted` was made of.
        converted: The same in float.
        shards: The resized pictures.
        split: A row a photo, with columns photo and split.
        validation: The validation pictures; its index is their positions.

    Raises:
        UserError: int8 gives another species than float too often.
    """
    network = litert_export.to_litert(answering, litert_export.calibration_pictures(shards, split))
    float_labels, int8_labels = (
        predict(contents, shards, validation, f"validation in {name}").argmax(axis=1)
        for name, contents in (("float", converted.network), ("int8", network))
    )
    same = require_same_labels(float_labels, int8_labels)
    return Converted("int8", network, converted.keras_and_litert, same)


def require_same_labels(float_labels: np.ndarray, int8_labels: np.ndarray) -> float:
    """Returns the share of pictures that get the same label in both precisions.

    Args:
        float_labels: Positions of the most probable species in float, int (n,).
        int8_labels: Those in int8, for the same pictures.

    Raises:
        UserError: The share is below `MIN_SAME_LABEL`.
    """
    same = np.mean(float_labels == int8_labels).item()
    if same < MIN_SAME_LABEL:
        raise UserError(
            f"in int8 the network gives {same:.1%} of the validation photos the species that it "
            f"gives them in float; under {MIN_SAME_LABEL:.0%} it is not served: set "
            "evaluate.precision to float"
        )
    return same
