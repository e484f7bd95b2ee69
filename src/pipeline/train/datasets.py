"""Holds training and validation data: pictures, or features of a frozen network."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.augment import transforms
from pipeline.core.errors import UserError
from pipeline.dataset.shards import Shards
from pipeline.dataset.views import COLUMN as VIEW
from pipeline.networks import backbones
from pipeline.networks.quiet_keras import keras
from pipeline.train.batches import Alter, Examples
from pipeline.train.feature_store import Features, FeatureStore, Pictures
from pipeline.train.metrics import positions


@dataclass(frozen=True)
class FitInputs:
    """Inputs that a network trains on and is validated by.

    Attributes:
        training: What it trains on.
        validation: What it is validated by; altered copies are not among them.
        index: photo and split of each validation example, and its view where photos have several.
        alter: Alters training inputs by chance. Defaults to None: they stay as they are.
    """

    training: Examples
    validation: Examples
    index: pd.DataFrame
    alter: Alter | None = None


class TrainingData:
    """The training and validation pictures. The test split is no part of it.

    Attributes:
        training: The training pictures and their altered copies.
        validation: The validation pictures.
        labels: Species in the order of the network's outputs: sorted, those of the training split.
        fold: Of each training picture and then each validation picture, int (n,); None if a
            network trains on the training pictures alone.
        cache: Folder for features, exported networks and checkpoints; safe to delete at any time.
        ranges: How far copies may differ that are drawn while training from pixels.
        features: Features of the pictures.
        networks: Frozen networks that were built for the pictures, by name and weights.
    """

    def __init__(
        self,
        training: Pictures,
        validation: Pictures,
        fold: np.ndarray | None,
        cache: Path,
        ranges: transforms.Ranges,
    ) -> None:
        self.training, self.validation = training, validation
        self.labels: tuple[str, ...] = tuple(sorted(training.species.unique()))
        self.fold, self.cache, self.ranges = fold, cache, ranges
        self.features = FeatureStore({"training": training, "validation": validation}, cache)
        self.networks: dict[tuple[str, str], backbones.Parts] = {}

    @classmethod
    def load(
        cls, augmented: Path, resized: Path, split: Path, cache: Path, ranges: transforms.Ranges
    ) -> "TrainingData":
        """Opens what augment, resize and split wrote.

        Args:
            augmented: Folder of shards: training pictures and their copies.
            resized: Folder of shards: all pictures.
            split: Table with photo, split and fold.
            cache: Folder for what is computed; safe to delete at any time.
            ranges: How far copies may differ that are drawn while training.

        Raises:
            UserError: A species has validation photos and no training photos, or the validation
                split is empty.
        """
        training, shards = Shards(augmented), Shards(resized)
        table = pd.read_parquet(split).set_index("photo")
        chosen = np.flatnonzero(shards.index["photo"].map(table["split"]) == "validation")
        validation = Pictures(shards, chosen)
        unknown = set(validation.species) - set(training.index["species"])
        if unknown:
            raise UserError(
                f"no training photos of {', '.join(sorted(unknown))}; "
                "change split.seed or split.by, or set split.respect_given to false"
            )
        if not len(chosen):
            raise UserError("the validation split is empty; raise split.validation or add photos")
        photos = pd.concat([training.index["photo"], shards.index["photo"].iloc[chosen]])
        fold = photos.map(table["fold"])
        fold = None if fold.isna().any() else fold.to_numpy(dtype=np.int64)
        everything = Pictures(training, np.arange(len(training)))
        return cls(everything, validation, fold, cache, ranges)

    @property
    def has_views(self) -> bool:
        """Whether photos are seen by several views."""
        return VIEW in self.training.shards.index

    def digest(self) -> str:
        """Returns the sha256 of all that training sees, as hexadecimal digits.

        Pixels count by the hash of the shards that hold them, so each file is read once.
        """
        fold = None if self.fold is None else self.fold.tolist()
        digest = hashlib.sha256(repr((self.labels, fold, self.ranges)).encode())
        for pictures in (self.training, self.validation):
            rows = pictures.shards.index.iloc[pictures.positions]
            digest.update(rows[["species", "shard", "row"]].to_csv(index=False).encode())
            for shard in sorted(rows["shard"].unique()):
                digest.update(pictures.shards.sha256(int(shard)))
        return digest.hexdigest()

    def alter(self, photos: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws copies of training photos anew, and leaves the photos themselves as they are.

        Args:
            photos: uint8 (n, size, size, 3).
            rows: Training pictures that they stand for, int (n,).
            rng: What chance decides.

        Returns:
            uint8 (n, size, size, 3).
        """
        pictures = photos.copy()
        copies = np.flatnonzero(self.training.copies[rows])
        changes = [transforms.draw(self.ranges, rng) for _ in copies]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            altered = threads.map(transforms.altered, photos[copies], changes)
            for copy, picture in zip(copies, altered, strict=True):
                pictures[copy] = picture
        return pictures

    def targets(self, pictures: Pictures) -> np.ndarray:
        """Returns positions in `labels`, int (n,)."""
        return positions(pictures.species, self.labels)

    def fit_inputs(self, frozen: keras.Model | None, folded: bool) -> FitInputs:
        """Returns what a network trains on and is validated by.

        Args:
            frozen: From pixels to where training starts; None to train from pixels. Then in place
                of a copy stands its photo, for `alter` to copy anew.
            folded: Whether heads side by side train on folds of the training and the validation
                pictures, which takes a frozen network; else one trains on the former and is
                validated by the latter.
        """
        training, validation = self._inputs(frozen)
        targets, held_targets = self.targets(self.training), self.targets(self.validation)
        described = ["photo", *([VIEW] if VIEW in self.validation.shards.index else [])]
        index = self.validation.shards.index[described].iloc[self.validation.positions]
        index = index.assign(split="validation")
        count = len(self.labels)
        if not folded:
            return FitInputs(
                training=Examples(training, targets, count),
                validation=Examples(validation, held_targets, count),
                index=index,
                alter=self.alter if frozen is None else None,
            )
        assert self.fold is not None, "heads side by side have folds"
        together = np.concatenate([training.rows, validation.rows])
        targets = np.concatenate([targets, held_targets])
        rows = self.training.shards.index.iloc[self.training.positions]
        index = pd.concat([rows.assign(split="train"), index.assign(copy=0)], ignore_index=True)
        originals = np.flatnonzero(index["copy"] == 0)
        return FitInputs(
            training=Examples(Features(training.arrays, together), targets, count, self.fold),
            validation=Examples(
                inputs=Features(training.arrays, together[originals]),
                targets=targets[originals],
                num_labels=count,
                fold=self.fold[originals],
            ),
            index=index.loc[originals, [*described, "split"]],
        )

    def _inputs(self, frozen: keras.Model | None) -> tuple[Any, Any]:
        """Returns training and validation inputs, each with `take(rows)`."""
        if frozen is not None:
            training, validation = self.features.get(frozen)
            return training, validation
        photos = self.training.positions - self.training.copies  # copies follow their photo
        return Pictures(self.training.shards, photos), self.validation
