"""How far one gets without looking at the animal: what an accuracy must be read against.

A random forest sees each photo's size, sharpness and colour histogram alone, over group-aware
folds. Whatever it reaches, it reaches because source and species go together in the collection.

    python bench/shortcut.py ../shared/photos/main13 ../shared/photos/monkeys10
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score

from pipeline import checks, params, photos
from pipeline.sources import gather

BINS = 4  # of each colour, so 64 in all


def looks(data: bytes) -> np.ndarray:
    """Width, height, sharpness (variance of the Laplacian) and colour histogram of a photo."""
    width, height, *_ = photos.inspect(data)
    pixels = photos.square(data, 64, "stretch")
    grey = pixels.mean(axis=2)
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1]
    laplacian -= grey[1:-1, :-2] + grey[1:-1, 2:]
    edges = [np.linspace(0, 256, BINS + 1)] * 3
    histogram = np.histogramdd(pixels.reshape(-1, 3), edges)[0].ravel() / 64**2
    return np.array([width, height, width / height, laplacian.var(), *histogram])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="+", type=Path, help="folders of class folders")
    written = params.load().ingest
    for source in parser.parse_args().sources:
        found = gather.found(source)
        inspected = checks.inspect(source, found, written.max_pixels, -1, Path(".cache/looks"))
        manifest, _ = checks.judge(inspected, written.min_side, written.near_duplicate_bits)
        seen = np.stack([looks((source / path).read_bytes()) for path in manifest["path"]])
        scores = cross_val_score(
            RandomForestClassifier(500, random_state=0, n_jobs=-1),
            seen,
            manifest["species"],
            groups=manifest["group"],
            cv=StratifiedGroupKFold(5, shuffle=True, random_state=0),
        )
        error = scores.std(ddof=1) / len(scores) ** 0.5
        print(f"{source.name}: {scores.mean():.3f} ± {error:.3f} without the animal")


if __name__ == "__main__":
    main()
