"""What training learns from and is judged by: pictures, or what a frozen network says of them."""

import hashlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from pipeline.augment import transforms
from pipeline.core.errors import UserError
from pipeline.dataset.shards import LENGTH, Shards
from pipeline.networks import backbones, feature_cache, keras_setup

if TYPE_CHECKING:
    import keras

Alter = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Pictures:
    """Some pictures of a folder of shards.

    Attributes:
        shards: The folder.
        positions: Which of its pictures, int (n,).
    """

    shards: Shards
    positions: np.ndarray

    @property
    def species(self) -> pd.Series:
        return self.shards.index["species"].iloc[self.positions]

    def take(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (n, size, size, 3)."""
        return self.shards.take(self.positions[rows])

    @property
    def copies(self) -> np.ndarray:
        """For each picture its number among the copies of its photo, from 0, the photo itself."""
        return self.shards.index["copy"].to_numpy()[self.positions]


@dataclass(frozen=True)
class Data:
    """What training learns from and is stopped by. The test split is no part of it.

    Attributes:
        training: The training pictures and their altered copies.
        validation: The validation pictures.
        labels: Species in the order of the network's answers: sorted, those of the training split.
        fold: Of each training picture and then each validation picture, int (n,); None if they are
            not to be mixed.
        cache: Folder for features and exported networks; safe to delete at any time.
        ranges: How far copies may differ that are drawn while training.
        networks: Frozen networks that were built for its pictures, by name and weights.
    """

    training: Pictures
    validation: Pictures
    labels: tuple[str, ...]
    fold: np.ndarray | None
    cache: Path
    ranges: transforms.Ranges
    networks: dict[tuple[str, str], backbones.Parts] = field(
        default_factory=dict, repr=False, compare=False
    )
    _frozen: WeakKeyDictionary = field(default_factory=WeakKeyDictionary, repr=False, compare=False)
    _memory: dict = field(default_factory=dict, repr=False, compare=False)
    _known: dict = field(default_factory=dict, repr=False, compare=False)
    _seconds: list = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def load(
        cls, augmented: Path, resized: Path, split: Path, cache: Path, ranges: transforms.Ranges
    ) -> "Data":
        """Opens what augment, resize and split wrote.

        Raises:
            UserError: A species has validation photos and no training photos.
        """
        training, shards = Shards(augmented), Shards(resized)
        table = pd.read_parquet(split).set_index("photo")
        chosen = np.flatnonzero(shards.index["photo"].map(table["split"]) == "validation")
        validation = Pictures(shards, chosen)
        labels = tuple(sorted(training.index["species"].unique()))
        if unknown := set(validation.species) - set(labels):
            raise UserError(
                f"no training photos of {', '.join(sorted(unknown))}; "
                "change split.seed or split.by, or set split.respect_given to false"
            )
        if not len(chosen):
            raise UserError("the validation split is empty; raise split.validation or add photos")
        known = pd.concat([training.index["photo"], shards.index["photo"].iloc[chosen]])
        fold = known.map(table["fold"])
        fold = None if fold.isna().any() else fold.to_numpy(dtype=np.int64)
        everything = Pictures(training, np.arange(len(training)))
        return cls(everything, validation, labels, fold, cache, ranges)

    def digest(self) -> str:
        """The sha256 of all that training sees, as hexadecimal digits."""
        fold = None if self.fold is None else self.fold.tolist()
        digest = hashlib.sha256(repr((self.labels, fold, self.ranges)).encode())
        for pictures in (self.training, self.validation):
            digest.update(pictures.species.str.cat(sep="\n").encode())
            rows = np.arange(len(pictures.positions))
            for start in range(0, len(rows), LENGTH):
                digest.update(pictures.take(rows[start : start + LENGTH]))
        return digest.hexdigest()

    def alter(self, photos: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draws copies of training photos anew, and leaves the photos themselves as they are.

        Args:
            photos: uint8 (n, size, size, 3).
            rows: Which training pictures they are in place of, int (n,).
            rng: What chance decides.

        Returns:
            uint8 (n, size, size, 3).
        """
        pictures = photos.copy()
        copies = np.flatnonzero(self.training.copies[rows])
        changes = [transforms.draw(self.ranges, rng) for _ in copies]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for copy, picture in zip(
                copies, threads.map(transforms.altered, photos[copies], changes), strict=True
            ):
                pictures[copy] = picture
        return pictures

    def targets(self, pictures: Pictures) -> np.ndarray:
        """Positions in `labels`, int (n,)."""
        return pictures.species.map({name: i for i, name in enumerate(self.labels)}).to_numpy()

    def inputs(self, frozen: "keras.Model | None") -> tuple[Any, Any]:
        """What is trained on: pixels, or what a frozen network says of them.

        Args:
            frozen: From pixels to where training starts; None to train from pixels.

        Returns:
            Training and validation inputs, each with `take(rows)`. Of pixels, in place of a copy
            its photo, for `alter` to copy anew.
        """
        if frozen is None:
            photos = self.training.positions - self.training.copies  # copies follow their photo
            return Pictures(self.training.shards, photos), self.validation
        if frozen not in self._frozen:
            self._frozen[frozen] = self._at_hand(frozen)
        return self._said(self._frozen[frozen])

    def _at_hand(self, network: "keras.Model") -> Any:
        """A network in its engine; of towers, which another one may have too, a pair of what puts
        them together and a list of such."""
        if alone := backbones.towers(network):
            return network.layers[-1], [self._at_hand(tower) for tower in alone]
        return feature_cache.Frozen.of(network, self.cache / "litert")

    def _said(self, frozen_or_towers: Any) -> tuple["Rows", "Rows"]:
        if isinstance(frozen_or_towers, feature_cache.Frozen):
            return self._features(frozen_or_towers)
        together, towers = frozen_or_towers
        found = [self._said(tower) for tower in towers]
        with keras_setup.keras().device("cpu"):
            sides = [together([rows.values for rows in side]) for side in zip(*found, strict=True)]
        first, second = (Rows(np.asarray(side)) for side in sides)
        return first, second

    def _features(self, model: feature_cache.Frozen) -> tuple["Rows", "Rows"]:
        if model not in self._memory:
            began = time.monotonic()
            awake = replace(model, load=lru_cache(model.load))  # once, for it takes seconds
            for known, (first, _) in list(self._memory.items()):
                if first.values.ndim > 2:  # pooled features are small; of maps only one is kept
                    del self._memory[known]
            found = [
                feature_cache.extract(awake, p.shards, p.positions, self.cache / "features", name)
                for name, p in (("training", self.training), ("validation", self.validation))
            ]
            self._memory[model] = tuple(Rows(values) for values, _ in found)
            self._known[model] = sum(known for _, known in found)
            self._seconds.append(time.monotonic() - began)
        return self._memory[model]

    @property
    def cached(self) -> str:
        """What had not to be computed, in words."""
        if not self._known:
            return "trained from pixels, nothing cached"
        asked = len(self._known) * (len(self.training.positions) + len(self.validation.positions))
        return f"features: {sum(self._known.values())} of {asked} were cached"

    @property
    def seconds(self) -> float:
        """How long its features have taken so far, computed or read."""
        return sum(self._seconds)

    def lesson(self, frozen: "keras.Model | None", folded: bool) -> "Lesson":
        """What a network learns from and is judged by.

        Args:
            frozen: As for `inputs`.
            folded: Whether heads side by side learn from folds of the training and the validation
                pictures; else one learns from the former and is judged by the latter.
        """
        learned, held_out = self.inputs(frozen)
        targets, held_targets = self.targets(self.training), self.targets(self.validation)
        photos = self.validation.shards.index["photo"].iloc[self.validation.positions]
        about = pd.DataFrame({"photo": photos, "split": "validation"})
        if not folded:
            alter = self.alter if frozen is None else None
            return Lesson(learned, targets, None, held_out, held_targets, None, about, alter)
        pool = Rows(np.concatenate([learned.values, held_out.values]))
        targets = np.concatenate([targets, held_targets])
        index = self.training.shards.index.iloc[self.training.positions]
        about = pd.concat([index.assign(split="train"), about.assign(copy=0)], ignore_index=True)
        originals = np.flatnonzero(about["copy"] == 0)
        return Lesson(
            pool,
            targets,
            self.fold,
            Rows(pool.values, originals),
            targets[originals],
            self.fold[originals],
            about.loc[originals, ["photo", "split"]],
        )


@dataclass(frozen=True)
class Lesson:
    """What a network learns from and is judged by.

    Attributes:
        inputs: What it learns from, with `take(rows)`.
        targets: Their positions in the labels, int (n,).
        fold: Of each, the head that does not learn from it; None if there is but one network.
        checks: What it is judged by, likewise; altered copies are not among them.
        check_targets: Likewise.
        check_fold: Of each, the head that is judged by it.
        about: photo and split of each check.
        alter: As for `batches.batches`. Defaults to None.
    """

    inputs: Any
    targets: np.ndarray
    fold: np.ndarray | None
    checks: Any
    check_targets: np.ndarray
    check_fold: np.ndarray | None
    about: pd.DataFrame
    alter: Alter | None = None


@dataclass(frozen=True)
class Rows:
    """What a frozen network says of some pictures.

    Attributes:
        values: (n, ...).
        chosen: Which of them, int. Defaults to None: all.
    """

    values: np.ndarray
    chosen: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> np.ndarray:
        return self.values[rows if self.chosen is None else self.chosen[rows]]
