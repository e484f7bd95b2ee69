"""Holds the settings of a training; sections `model` and `train` of the params end here."""

import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of the network; params.yaml says what each line is for.

    Attributes:
        backbone: Its name in `backbones.names()`, or several with `+` between them.
        weights: `imagenet`, `none` or the path of a file.
        unfrozen_blocks: How many top blocks of the backbone are trained.
        hidden: Units of a hidden layer in the head; 0 for none.
        dropout: Share of the head's inputs that training drops, from 0 to below 1.
    """

    backbone: str
    weights: str
    unfrozen_blocks: int
    hidden: int
    dropout: float

    @classmethod
    def of(cls, section: Any) -> "NetworkSettings":
        """Takes the values of section `model`."""
        return cls(**{one.name: getattr(section, one.name) for one in fields(cls)})

    def content(self) -> dict[str, Any]:
        """Returns all that decides the network, as JSON: a file of weights by its sha256."""
        file = Path(self.weights)
        is_file = file.is_file()
        weights = hashlib.sha256(file.read_bytes()).hexdigest() if is_file else self.weights
        return asdict(self) | {"weights": weights}


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the training; params.yaml says what each line is for.

    Attributes:
        epochs: At most, from 1.
        patience: Epochs without a better validation loss before it stops, from 1.
        batch_size: Pictures a batch, from 1.
        learning_rate: At its peak, above 0.
        fine_tune_rate: Factor on it while unfrozen blocks are trained, to 1.
        warm_up: Epochs from a tenth of it up to it.
        weight_decay: Of AdamW.
        balance: `weights` lets rare species count as much as common ones.
        precision: `auto` computes in float16 on a GPU.
        seed: Of all that chance decides.
    """

    epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    fine_tune_rate: float
    warm_up: int
    weight_decay: float
    balance: Literal["weights", "none"]
    precision: Literal["auto", "float32"]
    seed: int

    @classmethod
    def of(cls, section: Any) -> "TrainingSettings":
        """Takes the values of section `train`."""
        return cls(**{one.name: getattr(section, one.name) for one in fields(cls)})
