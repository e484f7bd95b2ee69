"""Fits a novelty detector to photos that training held out, all of known species."""

from dataclasses import replace

import numpy as np
from sklearn.covariance import empirical_covariance
from sklearn.decomposition import PCA

from pipeline.inference.novelty import NoveltyDetector, combined
from pipeline.inference.open_set import KNOWN

AXES = 200  # 400 tell no more unknown animals
SHRINKAGE = 0.1
FEWEST = 10  # photos to fit to


def fit(
    features: np.ndarray, largest: np.ndarray, targets: np.ndarray, folds: np.ndarray
) -> tuple[NoveltyDetector, np.ndarray] | None:
    """Fits a detector.

    The threshold is of scores whose both parts come from others: the logits from a head that has
    not learned from the photo, the distances from a fit to the other folds.

    Args:
        features: Pooled features of the photos, float (n, channels).
        largest: The largest logit of each, of a network that has not learned from it, (n,).
        targets: The species of each, (n,).
        folds: The fold of each, int (n,); near-duplicates share one.

    Returns:
        The detector, and the scores of the photos by fits to others, float (n,). None where there
        are fewer than `FEWEST` photos outside of a fold.
    """
    if len(features) - np.bincount(folds).max() < FEWEST:
        return None
    held_out = np.empty(len(features))
    for fold in np.unique(folds):
        rest = folds != fold
        others = _gaussians(features[rest], targets[rest])
        held_out[~rest] = others.distance(features[~rest])
    standard = np.array([[part.mean(), part.std() or 1.0] for part in (largest, held_out)])
    scores = combined(largest, held_out, standard)
    threshold = float(np.sort(scores)[int(np.ceil(len(scores) * KNOWN)) - 1])
    detector = replace(_gaussians(features, targets), standard=standard, threshold=threshold)
    return detector, scores


def _gaussians(features: np.ndarray, targets: np.ndarray) -> NoveltyDetector:
    """Fits one Gaussian a species, with a covariance that they share, and one to all photos.

    Features are standardised and reduced to their principal axes. Both covariances are shrunk to
    the same multiple of the identity (Ledoit & Wolf 2004, Honey, I Shrunk the Sample Covariance
    Matrix): with two targets the distances would not be of one scale, and their difference lost.

    Returns:
        A detector whose scores are not standardised yet and that has no threshold.
    """
    features = features.astype(np.float64)
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1.0
    axes = min(AXES, len(features) - 1, features.shape[1])
    pca = PCA(axes, svd_solver="randomized", random_state=0)
    # In single precision the axes take half the time.
    standardised = ((features - centre) / spread).astype(np.float32)
    reduced = pca.fit_transform(standardised).astype(np.float64)
    species, row = np.unique(targets, return_inverse=True)
    means = np.stack([reduced[row == i].mean(axis=0) for i in range(len(species))])
    within, total = (
        empirical_covariance(centred, assume_centered=True)
        for centred in (reduced - means[row], reduced)
    )
    target = (np.trace(total) / axes or 1.0) * np.eye(axes)
    within, total = ((1 - SHRINKAGE) * c + SHRINKAGE * target for c in (within, total))
    whiten = np.linalg.inv(np.linalg.cholesky(within))
    whole = np.linalg.inv(np.linalg.cholesky(total)) @ np.linalg.inv(whiten)
    return NoveltyDetector(
        projection=(whiten @ pca.components_ / spread).astype(np.float32),
        centre=centre.astype(np.float32),
        species=(means @ whiten.T).astype(np.float32),
        whole=whole.astype(np.float32),
        standard=np.full((2, 2), np.nan),
        threshold=np.nan,
    )
