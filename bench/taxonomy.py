"""Whether answers at a genus or higher are right as often as stated, and what they are worth.

Heads for five folds are trained once on `main13`, as `train` does but without altered copies, so
that each photo has an answer of a head that has not learned from it or from a near-duplicate. Then,
ten times, whole groups are dealt out by chance: on 60 % calibration and threshold are fitted as
evaluate does, and 40 % are counted: the share of photos whose answer is right or none, of all and
of those that look most like a jaguar or a leopard, the share answered at each rank, and what
becomes of the photos that show a leopard and would be answered jaguar, or the other way round.

    python bench/taxonomy.py ../shared/photos --cache .cache/bench
"""

from pathlib import Path

import numpy as np
import pandas as pd
from collection_features import Collection, parser
from coverage import answers

from pipeline.core import params
from pipeline.evaluate import calibration_fit, taxonomy_fit
from pipeline.inference.taxonomy import RANKS

COLLECTION, SPLITS = "main13", 10
PAIR = ("jaguar", "leopard")
# Genus, family, order and class; what a folder names is the genus or family where it is no species.
TAXA = {
    "ant": (None, "Formicidae", "Hymenoptera", "Insecta"),
    "bee": ("Apis", "Apidae", "Hymenoptera", "Insecta"),
    "cat": ("Felis", "Felidae", "Carnivora", "Mammalia"),
    "cheetah": ("Acinonyx", "Felidae", "Carnivora", "Mammalia"),
    "dog": ("Canis", "Canidae", "Carnivora", "Mammalia"),
    "jaguar": ("Panthera", "Felidae", "Carnivora", "Mammalia"),
    "kangaroo": ("Macropus", "Macropodidae", "Diprotodontia", "Mammalia"),
    "leopard": ("Panthera", "Felidae", "Carnivora", "Mammalia"),
    "lion": ("Panthera", "Felidae", "Carnivora", "Mammalia"),
    "panda": ("Ailuropoda", "Ursidae", "Carnivora", "Mammalia"),
    "raccoon": ("Procyon", "Procyonidae", "Carnivora", "Mammalia"),
    "snake": (None, None, "Squamata", "Reptilia"),
    "tiger": ("Panthera", "Felidae", "Carnivora", "Mammalia"),
}


def count(
    probabilities: np.ndarray, targets: np.ndarray, groups: np.ndarray, seed: int
) -> dict[str, float]:
    """Fits on one part of the groups and counts on the other."""
    labels = tuple(sorted(TAXA))
    manifest = pd.DataFrame.from_dict(TAXA, orient="index", columns=list(RANKS[1:]))
    names = taxonomy_fit.names(manifest.rename_axis("species").reset_index(), labels)
    fitting = np.random.default_rng(seed).random(groups.max() + 1)[groups] < 0.6
    calibrated = calibration_fit.fit(probabilities[fitting], targets[fitting]).apply(probabilities)
    taxonomy = taxonomy_fit.fit(names, calibrated[fitting], targets[fitting])
    tested, actual = calibrated[~fitting], targets[~fitting]
    rank, right = taxonomy_fit.answered(taxonomy, tested, actual)
    likeliest = tested.argmax(axis=1)
    pair = np.searchsorted(labels, PAIR)
    alike = np.isin(likeliest, pair)
    mistaken = np.isin(actual, pair) & alike & (actual != likeliest)
    shares = {name: (rank == position).mean() for position, name in enumerate(RANKS)}
    genus, became = RANKS.index("genus"), rank[mistaken]
    return {
        "sure from, leopard": taxonomy.sure_from[labels.index("leopard")],
        "accuracy": (likeliest == actual).mean(),
        "not wrong": (right | (rank < 0)).mean(),
        **shares,
        "no answer": (rank < 0).mean(),
        "accuracy, pair": (likeliest == actual)[alike].mean(),
        "not wrong, pair": (right | (rank < 0))[alike].mean(),
        "mistakes": mistaken.sum(),
        "of them species": (became == 0).sum(),
        "of them Panthera": (became == genus).sum(),
        "of them higher or none": ((became > genus) | (became < 0)).sum(),
    }


def main() -> None:
    arguments = parser(__doc__).parse_args()
    p = params.load(Path(__file__).parents[1] / "params.yaml")
    collection = Collection.of(arguments.photos / COLLECTION, arguments.cache)
    found = answers(collection, p)
    rows = [count(*found, collection.groups, seed) for seed in range(SPLITS)]
    table = pd.DataFrame(rows)
    print(f"{COLLECTION}, {len(collection.files)} photos, {SPLITS} splits")
    print(table.round(4).to_string(index=False))
    print(table.agg(["mean", "std"]).round(4).to_string())


if __name__ == "__main__":
    main()
