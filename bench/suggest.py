"""Which photos to label next: strategies on a simulated labelling, by accuracy after each round.

In a project where `dvc repro train` has run, the training photos stand for unlabelled ones: two of
each species are labelled at first, and in each round a strategy chooses those labelled next. A
linear head learns from what is labelled, on the cached features, and is tested on the validation
photos. Near-duplicates never straddle the two.

    python bench/suggest.py /path/to/a/project --seeds 3
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from pipeline.augment import transforms
from pipeline.core import params
from pipeline.networks import backbones
from pipeline.predict import suggestions
from pipeline.train import datasets

ROUND, ROUNDS = 40, 6
Strategy = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]


def at_random(probabilities: np.ndarray, *_: object) -> np.ndarray:
    return np.random.default_rng(_[-1]).permutation(len(probabilities))[:ROUND]


def margin(probabilities: np.ndarray, *_: object) -> np.ndarray:
    """Scheffer et al. 2001: the smallest gap between the two most probable species."""
    ordered = np.sort(probabilities, axis=1)
    return np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")[:ROUND]


def badge(probabilities: np.ndarray, features: np.ndarray, _: object, seed: int) -> np.ndarray:
    """Ash et al. 2020: k-means++ over the last layer's gradients, as if what it says were right."""
    residual = probabilities - np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    # A gradient is the outer product of both, so products of gradients are products of products.
    square = (residual**2).sum(axis=1) * (features**2).sum(axis=1)
    rng, chosen = np.random.default_rng(seed), [int(square.argmax())]
    nearest = np.full(len(square), np.inf)
    while len(chosen) < ROUND:
        last = chosen[-1]
        product = (residual @ residual[last]) * (features @ features[last])
        nearest = np.minimum(nearest, (square + square[last] - 2 * product).clip(0))
        nearest[last] = 0
        chosen.append(int(rng.choice(len(nearest), p=nearest / nearest.sum())))
    return np.array(chosen)


def clue(probabilities: np.ndarray, features: np.ndarray, *_: object) -> np.ndarray:
    return suggestions.clue(probabilities, features, ROUND)


def coreset(_: object, features: np.ndarray, labelled: np.ndarray, seed: int) -> np.ndarray:
    """Sener & Savarese 2018: greedily the photo that is farthest from all labelled ones."""
    squares = (features**2).sum(axis=1)
    nearest = np.full(len(features), np.inf)
    for row in labelled:
        nearest = np.minimum(nearest, squares + row @ row - 2 * features @ row)
    chosen = []
    for _round in range(ROUND):
        chosen.append(int(nearest.argmax()))
        row = features[chosen[-1]]
        nearest = np.minimum(nearest, squares + row @ row - 2 * features @ row)
        nearest[chosen] = -1
    return np.array(chosen)


STRATEGIES: dict[str, Strategy] = {
    "at random": at_random,
    "margin": margin,
    "BADGE": badge,
    "CLUE": clue,
    "coreset": coreset,
}


def features_of(backbone: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns features and species of the training photos, and of the validation photos."""
    p = params.load()
    ranges = transforms.Ranges.of(p.augment)
    folders = (Path("data/augmented"), Path("data/resized"), Path("data/split.parquet"))
    data = datasets.TrainingData.load(*folders, Path(".cache"), ranges)
    network = backbones.get(backbone).build(data.training.shards.size, weights="imagenet").frozen
    training, validation = data.features.get(network)
    originals = np.flatnonzero(data.training.copies == 0)
    targets = data.targets(data.training)[originals], data.targets(data.validation)
    values = training.take(originals), validation.take(np.arange(len(targets[1])))
    mean, spread = values[0].mean(axis=0), values[0].std(axis=0) + 1e-6
    first, second = ((part - mean) / spread for part in values)
    return first, targets[0], second, targets[1]


def accuracies(strategy: Strategy, parts: tuple[np.ndarray, ...], seed: int) -> list[float]:
    """Returns the test accuracy before the first round and after each."""
    pool, species, test, test_species = parts
    rng = np.random.default_rng(seed)
    first = [rng.choice(np.flatnonzero(species == one), 2, replace=False) for one in set(species)]
    labelled, found = list(np.concatenate(first)), []
    for number in range(ROUNDS + 1):
        head = LogisticRegression(C=0.01, max_iter=200).fit(pool[labelled], species[labelled])
        found.append(float(head.score(test, test_species)))
        rest = np.setdiff1d(np.arange(len(pool)), labelled)
        probabilities = softmax(head.decision_function(pool[rest]), axis=1)
        chosen = strategy(probabilities, pool[rest], pool[labelled], 100 * seed + number)
        labelled += list(rest[chosen])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("project", type=Path, help="where `dvc repro train` has run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    arguments = parser.parse_args()
    os.chdir(arguments.project)
    parts = features_of(arguments.backbone)
    print(
        f"{len(parts[0])} photos to label, {len(parts[2])} to test, {arguments.seeds} seeds, "
        f"{os.cpu_count()} cores; accuracy by photos labelled, mean of the rounds ± standard error"
    )
    labelled = [2 * len(set(parts[1])) + ROUND * number for number in range(ROUNDS + 1)]
    for name, strategy in STRATEGIES.items():
        runs = np.array([accuracies(strategy, parts, seed) for seed in range(arguments.seeds)])
        means = pd.Series(runs[:, 1:].mean(axis=1))
        row = "  ".join(
            f"{n}: {value:.3f}" for n, value in zip(labelled, runs.mean(axis=0), strict=True)
        )
        print(f"{name:10s} {row}   {means.mean():.4f} ± {means.sem():.4f}", flush=True)


if __name__ == "__main__":
    main()
