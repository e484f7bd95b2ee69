"""How much views of the animal and pooling bursts gain on camera traps, with bursts left out.

A collection with events and boxes is ingested twice, with `ingest.find` of what moves (`auto`) and
of the boxes that people drew (`boxes`), and resized to views (`resize.crop: views`). One burst of
every species in turn is left out, over four folds: as many heads as `split.folds`, side by side as
stage train makes them, learn from the others, with the project's copies, and are judged by it. They
see the whole photos alone (`whole`), or all views and answer by their mean. Prints for each and
each seed the accuracy of frames with an animal (`blank` is one of the answers), the same if `blank`
is none, that of events (blank ones too) by either mean, and how well blank frames are told from
animals (AUROC).

    python bench/camtrap.py ../shared/photos/camtrap20 --seeds 0 1 2 --folder /tmp/camtrap
"""

import argparse
import itertools
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
from pipeline.dataset import views
from pipeline.dataset.shards import Shards
from pipeline.evaluate import events
from pipeline.inference.pooling import BLANK, pooled
from pipeline.networks import backbones
from pipeline.train import datasets, held_out, trainer
from pipeline.train.feature_store import Features, FeatureStore, Pictures
from pipeline.train.settings import NetworkSettings, TrainingSettings

if TYPE_CHECKING:
    import keras

FOLDS = 4
SOURCES = ("auto", "boxes")


def folds(manifest: pd.DataFrame, heads: int) -> pd.DataFrame:
    """Deals the bursts of each species out to folds, and the others of each fold to heads.

    Returns:
        By photo its fold, and in `head n` the head that does not learn from it where fold n is
        left out.
    """
    species = events.species(manifest["species"], manifest["event"])
    fold = species.groupby(species).cumcount() % FOLDS
    table = pd.DataFrame({"fold": fold})
    for left_out in range(FOLDS):
        others = species[fold != left_out].sort_values(kind="stable")
        table[f"head {left_out}"] = pd.Series(np.arange(len(others)) % heads, others.index)
    return table.loc[manifest["event"]].set_axis(manifest["photo"])


def pictures(resized: Path, written: Path, p: params.Params) -> Shards:
    """Writes copies of all pictures, as augment does of those that train."""
    if not written.exists():
        rows = copies.expand(Shards(resized).index, p.augment.copies, p.augment.max_copies)
        ranges = transforms.Ranges.of(p.augment)
        with parallel.use_backend("local", None):
            copies.write(written, resized, rows, ranges, p.augment.seed, -1)
    return Shards(written)


def answers(
    shards: Shards, fold: pd.Series, whole: bool, cache: Path, p: params.Params, seed: int
) -> tuple[np.ndarray, pd.Index, tuple[str, ...]]:
    """Answers each photo by heads that learned from no frame of its fold.

    Args:
        shards: Views of the photos, and their copies.
        fold: Of each photo, by photo.
        whole: Whether heads see whole photos alone.
        cache: Folder for features, which go by content, so that all folds share them.
        p: The project's params.
        seed: Of the training.

    Returns:
        Probabilities (n, species), the photos, and the species.
    """
    index = shards.index
    of_row, original = index["photo"].map(fold["fold"]).to_numpy(), index["copy"].to_numpy() == 0
    seen = (index[views.COLUMN] == 0).to_numpy() | (not whole)
    store = FeatureStore({"pictures": Pictures(shards, np.arange(len(shards)))}, cache)
    tables: list[pd.DataFrame] = []
    for left_out in range(FOLDS):
        head = index["photo"].map(fold[f"head {left_out}"]).to_numpy()
        training = seen & (of_row != left_out)
        checked = np.flatnonzero(training & (head == 0) & original)
        learned = np.flatnonzero(training & ~((head == 0) & original))
        data = datasets.TrainingData(
            Pictures(shards, learned),
            Pictures(shards, checked),
            head[np.concatenate([learned, checked])].astype(int),
            cache,
            transforms.Ranges.of(p.augment),
        )
        data.features = _Shared(store, learned, checked)
        settings = replace(TrainingSettings.of(p.train), seed=seed)
        trained = trainer.fit(NetworkSettings.of(p.model), settings, data)
        tested = np.flatnonzero(seen & (of_row == left_out) & original)
        network = data.networks[p.model.backbone, p.model.weights].whole
        (features,) = store.get(network)
        logits = np.asarray(trained.model.get_layer("head")(features.take(tested)))
        table = held_out.table(
            index.iloc[tested].assign(split="test"),
            data.targets(Pictures(shards, tested)),
            data.labels,
            logits,
            features=None,
        )
        tables.append(table[["photo", "probabilities"]])
    table = pd.concat(tables)
    return np.stack(table["probabilities"]), pd.Index(table["photo"]), data.labels


class _Shared:
    """Gives the features of parts of all pictures, in place of `TrainingData.features`."""

    seconds, cached = 0.0, ""

    def __init__(self, store: FeatureStore, *parts: np.ndarray) -> None:
        self._store, self._parts = store, parts

    def get(self, network: "keras.Model") -> tuple[Features, ...]:
        (features,) = self._store.get(network)
        return tuple(Features(features.arrays, part) for part in self._parts)


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
    animals = np.where(names == BLANK, -1, probabilities).argmax(axis=1)
    named = names[animals] == known["species"].to_numpy()
    row = {"frames": right[animal].mean(), "frames_no_blank": named[animal].mean()}
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
    parser.add_argument(
        "--find", nargs="+", default=SOURCES, help='of ingest.find, as auto or "[motion, detector]"'
    )
    parser.add_argument("--backbone", help="by default that of params.yaml for views")
    parser.add_argument("--set", nargs="*", default=[], help="params to change: augment.copies=3")
    arguments = parser.parse_args()
    folder = arguments.folder
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    project.mkdir(parents=True)
    environment = prepare(arguments.source.resolve(), project, arguments.set)
    p = params.load(project / "params.yaml")
    backbone = arguments.backbone or backbones.chosen(p.model.backbone, views=True)
    p = params.replaced(p, {"model.backbone": backbone})
    rows = []
    for source in arguments.find:
        change(project, [f"ingest.find={source}", "resize.crop=views"])
        repro("resize", project, environment)
        manifest = pd.read_parquet(project / "data/ingested/manifest.parquet")
        shards = pictures(project / "data/resized", folder / f"copies-{source}", p)
        fold = folds(manifest, p.split.folds)
        seen = {"whole": True, f"views by {source}": False}
        for (view, whole), seed in itertools.product(seen.items(), arguments.seeds):
            if whole and source != arguments.find[0]:
                continue  # whole photos are the same ones
            told = answers(shards, fold, whole, folder / ".cache", p, seed)
            rows.append({"view": view, "seed": seed, **judged(*told, manifest)})
            print(pd.DataFrame(rows[-1:]).round(4).to_string(index=False), flush=True)
    table = pd.DataFrame(rows).drop(columns="seed").groupby("view")
    print(
        f"\n{p.model.backbone}, {len(arguments.seeds)} seeds, {manifest['event'].nunique()} events"
    )
    print(table.mean().round(4).to_string())


if __name__ == "__main__":
    main()
