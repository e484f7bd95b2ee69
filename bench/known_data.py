"""What `trainer.fit` trains on, from features that are there already."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
from collection_features import SIZE

from pipeline.core import params
from pipeline.networks import backbones
from pipeline.train import trainer
from pipeline.train.batches import Examples
from pipeline.train.datasets import FitInputs
from pipeline.train.feature_store import Features
from pipeline.train.settings import NetworkSettings, TrainingSettings


class KnownData:
    """Stands in for `datasets.TrainingData`: a head for each fold, no altered copies.

    Args:
        features: (n, channels) of the backbone that is trained on.
        species: Of each photo, (n,).
        fold: Of each, int (n,).
    """

    def __init__(self, features: np.ndarray, species: np.ndarray, fold: np.ndarray):
        self.labels = tuple(sorted(set(species)))
        self.fold, self._features = fold, features
        self._targets = np.searchsorted(self.labels, species)
        self.networks = _Built()
        self.training = SimpleNamespace(shards=SimpleNamespace(size=SIZE))
        self.features = SimpleNamespace(seconds=0.0, cached="")

    def fit_inputs(self, _frozen: object, _folded: bool) -> FitInputs:
        """Returns the same photos to train on and, each by the head of its fold, to judge by."""
        examples = Examples(Features((self._features,)), self._targets, len(self.labels), self.fold)
        photos = [f"{i}" for i in range(len(self.fold))]
        return FitInputs(examples, examples, pd.DataFrame({"photo": photos, "split": "train"}))


class _Built(dict):
    """Backbones by name and weights, built when they are first asked for."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: tuple[str, str]) -> backbones.Parts:
        return _build(*key)


@cache
def _build(backbone: str, weights: str) -> backbones.Parts:
    return backbones.get(backbone).build(SIZE, weights=weights)


def fit(p: params.Params, data: KnownData, seed: int = 0) -> trainer.Trained:
    """Trains a head as `train` does with the params as they stand."""
    return trainer.fit(
        NetworkSettings.of(p.model), replace(TrainingSettings.of(p.train), seed=seed), data
    )


def head(trained: trainer.Trained) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel (channels, species) and bias of the linear head that is served."""
    kernel, bias = trained.model.get_layer("head").get_weights()
    return kernel, bias
