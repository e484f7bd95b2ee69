"""What frozen networks know of a collection: ten ways to read it off, over many splits.

Ingest runs as in the pipeline, and networks say what they see of each photo as it is, flipped,
and of a closer crop of its middle. For each split seed classifiers of scikit-learn learn from the
training and validation photos and are tested on the others; near-duplicates never straddle. So it
tells how much a better head could gain without another network. Nothing here chooses: the strength
of regularisation is the same for all seeds.

    python bench/ceiling.py /path/to/photos --seeds 12
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from project import prepare, repro
from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.svm import SVC

from pipeline.core import parallel
from pipeline.dataset import stratified_groups
from pipeline.inference import decoding
from pipeline.inference.litert import Network
from pipeline.networks import backbones, keras_setup, litert_export

NETWORKS = {"lite0": ("efficientnet_lite0", 224), "lite2": ("efficientnet_lite2", 260)}
CLOSER = 1.3  # times as large, and its middle
SHARES = (0.70, 0.15, 0.15)


def as_it_is(photo: bytes, size: int) -> np.ndarray:
    return decoding.square(photo, size)


def flipped(photo: bytes, size: int) -> np.ndarray:
    return decoding.square(photo, size)[:, ::-1]


def closer(photo: bytes, size: int) -> np.ndarray:
    large = round(size * CLOSER)
    start = (large - size) // 2
    return decoding.square(photo, large)[start : start + size, start : start + size]


VIEWS = (as_it_is, flipped, closer)


def features(paths: list[Path], name: str) -> list[np.ndarray]:
    """What a network says of each view, (n, channels) each."""
    backbone, size = NETWORKS[name]
    network = Network(litert_export.to_litert(backbones.get(backbone).build(size).whole))

    def seen(view: Callable[[bytes, int], np.ndarray]) -> np.ndarray:
        parts = parallel.chunks(paths, 64)
        return np.concatenate([network([view(p.read_bytes(), size) for p in ps]) for ps in parts])

    return [seen(view) for view in VIEWS]


def linear() -> BaseEstimator:
    regression = LogisticRegression(C=0.01, class_weight="balanced", max_iter=300)
    return make_pipeline(StandardScaler(), regression)


def of_roots() -> BaseEstimator:
    roots = FunctionTransformer(lambda values: np.sqrt(np.maximum(values, 0)))
    return make_pipeline(roots, Normalizer(), linear())


def discriminant() -> BaseEstimator:
    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")


def kernel() -> BaseEstimator:
    return make_pipeline(StandardScaler(), SVC(C=10, class_weight="balanced"))


def neighbours() -> BaseEstimator:
    return KNeighborsClassifier(10, weights="distance", metric="cosine")


# Networks, classifier, and how many views learn and are asked.
WAYS: list[tuple[tuple[str, ...], Callable[[], BaseEstimator], int]] = [
    (("lite0",), linear, 1),
    (("lite0",), linear, 3),
    (("lite0",), discriminant, 1),
    (("lite2",), neighbours, 1),
    (("lite2",), linear, 1),
    (("lite2",), of_roots, 1),
    (("lite2",), discriminant, 1),
    (("lite0", "lite2"), linear, 1),
    (("lite0", "lite2"), linear, 3),
    (("lite0", "lite2"), kernel, 1),
]


def accuracy(
    views: list[np.ndarray], species: np.ndarray, test: np.ndarray, classifier: BaseEstimator
) -> float:
    """Of the sum of the scores for all views."""
    classifier.fit(np.concatenate([v[~test] for v in views]), np.tile(species[~test], len(views)))
    score = getattr(classifier, "decision_function", None) or classifier.predict_proba
    answers = sum(score(view[test]) for view in views)
    return float(np.mean(classifier.classes_[answers.argmax(axis=1)] == species[test]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos, a folder a species")
    parser.add_argument("--seeds", type=int, default=12, help="how many split seeds")
    arguments = parser.parse_args()
    source = arguments.source.resolve()
    keras_setup.keras()
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        environment = prepare(source, project, [])
        repro("ingest", project, environment)
        manifest = pd.read_parquet(project / "data/ingested/manifest.parquet")
    species = manifest["species"].to_numpy(dtype=str)
    paths = [source / path for path in manifest["path"]]
    seen = {name: features(paths, name) for name in NETWORKS}
    parts = [
        stratified_groups.deal(manifest["group"], manifest["species"], SHARES, seed)
        for seed in range(arguments.seeds)
    ]
    print(f"{len(paths)} photos, {arguments.seeds} split seeds, {os.cpu_count()} cores,", end=" ")
    print(f"scikit-learn {version('scikit-learn')}; test accuracy, mean and standard error:\n")
    for names, classifier, count in WAYS:
        views = [np.hstack([seen[name][i] for name in names]) for i in range(count)]
        found = pd.Series([accuracy(views, species, part == 2, classifier()) for part in parts])
        what = f"{' + '.join(names)}, {classifier.__name__}, {count} view{'s' * (count > 1)}"
        print(f"{what:40s} {found.mean():.4f} ± {found.sem():.4f}", flush=True)


if __name__ == "__main__":
    main()
