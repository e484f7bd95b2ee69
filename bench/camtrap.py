"""How much cutting out the animal and pooling bursts gain on camera traps, with bursts left out.

A collection with events and boxes is ingested, and resized once whole (`resize.crop: none`), once
with what moves cut out of each frame (`motion`) and once with the boxes that people drew (`boxes`).
One burst of every species in turn is left out, over four folds: heads as stage train makes them
learn from the others, with the project's copies, and are judged by it. Prints for each view and
seed the accuracy of frames with an animal (`blank` is one of the answers), that of events (blank
ones too) by either mean, and how well blank frames are told from animals (AUROC).

    python bench/camtrap.py ../shared/photos/camtrap20 --seeds 0 1 2 --folder /tmp/camtrap
"""

import argparse
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from project import change, prepare, repro
from sklearn.metrics import roc_auc_score

from pipeline.augment import copies, transforms
from pipeline.core import parallel, params
from pipeline.dataset.shards import Shards
from pipeline.evaluate import events
from pipeline.inference.pooling import BLANK, pooled
from pipeline.train import datasets, trainer
from pipeline.train.feature_store import Features, FeatureStore, Pictures
from pipeline.train.settings import NetworkSettings, TrainingSettings

if TYPE_CHECKING:
    import keras

FOLDS = 4
VIEWS = ("none", "motion", "boxes")


def folds(manifest: pd.DataFrame) -> pd.Series:
    """Deals the bursts of each species out to folds; gives the fold of each photo, by photo."""
    species = events.species(manifest["species"], manifest["event"])
    fold = species.groupby(species).cumcount() % FOLDS
    return manifest.set_index("photo")["event"].map(fold)


def pictures(resized: Path, written: Path, p: params.Params) -> Shards:
    """Writes copies of all pictures, as augment does of those that train."""
    if not written.exists():
        rows = copies.expand(Shards(resized).index, p.augment.copies, p.augment.max_copies)
        ranges = transforms.Ranges.of(p.augment)
        with parallel.use_backend("local", None):
            copies.write(written, resized, rows, ranges, p.augment.seed, -1)
    return Shards(written)


def answers(
    shards: Shards, fold: pd.Series, cache: Path, p: params.Params, seed: int
) -> tuple[np.ndarray, pd.Index, tuple[str, ...]]:
    """Answers each photo by heads that learned from no frame of its fold.

    Returns:
        Probabilities (n, species), the photos, and the species.
    """
    of_row = shards.index["photo"].map(fold).to_numpy()
    original = shards.index["copy"].to_numpy() == 0
    # The cache of features goes by content, so all folds share those of all pictures.
    store = FeatureStore({"pictures": Pictures(shards, np.arange(len(shards)))}, cache)
    tables: list[pd.DataFrame] = []
    for left_out in range(FOLDS):
        learned = np.flatnonzero(of_row != left_out)
        # Heads side by side, as with `split.folds`: each is validated by the bursts of one fold.
        others = [fold for fold in range(FOLDS) if fold != left_out]
        checked = np.flatnonzero((of_row == others[-1]) & original)
        learned = learned[~((of_row[learned] == others[-1]) & original[learned])]
        heads = np.searchsorted(others, np.concatenate([of_row[learned], of_row[checked]]))
        data = datasets.TrainingData(
            Pictures(shards, learned),
            Pictures(shards, checked),
            heads,
            cache,
            transforms.Ranges.of(p.augment),
        )
        data.features = _Shared(store, learned, checked)
        training = replace(TrainingSettings.of(p.train), seed=seed)
        trained = trainer.fit(NetworkSettings.of(p.model), training, data)
        tested = np.flatnonzero((of_row == left_out) & original)
        whole = data.networks[p.model.backbone, p.model.weights].whole
        (features,) = store.get(whole)
        logits = np.asarray(trained.model.get_layer("head")(features.take(tested)))
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        rows = pd.DataFrame({"photo": shards.index["photo"].to_numpy()[tested]})
        tables.append(rows.assign(p=list(powers / powers.sum(axis=1, keepdims=True))))
    # A photo with several boxes has several pictures.
    table = (
        pd.concat(tables).groupby("photo")["p"].apply(lambda several: np.mean([*several], axis=0))
    )
    return np.stack(table), table.index, data.labels


class _Shared:
    """Gives the features of parts of all pictures, in place of `TrainingData.features`."""

    seconds, cached = 0.0, ""

    def __init__(self, store: FeatureStore, *parts: np.ndarray) -> None:
        self._store, self._parts = store, parts

    def get(self, network: "keras.Model") -> tuple[Features, ...]:
        (features,) = self._store.get(network)
        return tuple(Features(features.values[part]) for part in self._parts)


def judged(
    probabilities: np.ndarray, photo: pd.Index, labels: tuple[str, ...], manifest: pd.DataFrame
) -> dict[str, float]:
    """Computes the numbers of one view and seed."""
    known = manifest.set_index("photo").loc[photo]
    names = np.array(labels)
    right = names[probabilities.argmax(axis=1)] == known["species"].to_numpy()
    animal = (known["species"] != BLANK).to_numpy()
    truth = events.species(known["species"], known["event"])
    number = truth.index.get_indexer(known["event"])
    row = {"frames": right[animal].mean()}
    for mean in ("geometric", "arithmetic"):
        told = names[pooled(mean, probabilities, number, labels).argmax(axis=1)]
        row[f"events_{mean}"] = (told == truth).mean()
    blank = probabilities[:, names == BLANK]
    return row | {"blank_auroc": roc_auc_score(~animal, blank[:, 0]) if (~animal).any() else np.nan}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, required=True, help="keeps pictures and features")
    parser.add_argument("--backbone", help="by default that of params.yaml")
    arguments = parser.parse_args()
    folder = arguments.folder
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    environment = prepare(arguments.source.resolve(), project, [])
    p = params.load(project / "params.yaml")
    if arguments.backbone:
        p = params.replaced(p, {"model.backbone": arguments.backbone})
    rows = []
    for view in VIEWS:
        change(project, [f"resize.crop={view}"])
        repro("resize", project, environment)
        manifest = pd.read_parquet(project / "data/ingested/manifest.parquet")
        shards = pictures(project / "data/resized", folder / f"copies-{view}", p)
        for seed in arguments.seeds:
            found = answers(shards, folds(manifest), folder / ".cache", p, seed)
            rows.append({"view": view, "seed": seed, **judged(*found, manifest)})
            print(pd.DataFrame(rows[-1:]).round(4).to_string(index=False), flush=True)
    table = pd.DataFrame(rows).drop(columns="seed").groupby("view")
    print(
        f"\n{p.model.backbone}, {len(arguments.seeds)} seeds, {manifest['event'].nunique()} events"
    )
    print(table.mean().round(4).to_string())


if __name__ == "__main__":
    main()
