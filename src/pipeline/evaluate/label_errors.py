"""Lists photos whose label is probably wrong, by confident learning.

Northcutt, Jiang & Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels. A
photo is suspected if networks that had not seen it are as sure of another species as they are, on
average, of photos that carry that species' label, and if its label is not the most probable
species, which is suggested. cleanlab finds the same (tests/evaluate/test_label_errors.py); it is no
dependency, for this takes a few lines.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.core import atomic
from pipeline.train.metrics import positions

SHOWN = 40  # on the page; all are in the table


def margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the probability of each label less that of the likeliest other species, (n,).

    Args:
        probabilities: Of networks that had not seen the photos, (n, species).
        labels: Positions of the species in the photos' labels, int (n,).
    """
    rows = np.arange(len(labels))
    others = probabilities.copy()
    others[rows, labels] = -1
    return probabilities[rows, labels] - others.max(axis=1)


def suspected(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns which photos probably show another species than their label says, bool (n,).

    Args:
        probabilities: Of networks that had not seen the photos, (n, species).
        labels: Positions of the species in the photos' labels, int (n,).
    """
    species = probabilities.shape[1]
    own = np.bincount(labels, probabilities[np.arange(len(labels)), labels], species)
    count = np.bincount(labels, minlength=species)
    threshold = np.where(count, own / np.maximum(count, 1), np.inf)
    sure = np.where(probabilities >= threshold - 1e-6, probabilities, -1)
    return (
        (sure.max(axis=1) >= 0)
        & (sure.argmax(axis=1) != labels)
        & (probabilities.argmax(axis=1) != labels)
    )


def find(answers: pd.DataFrame, labels: tuple[str, ...], manifest: pd.DataFrame) -> pd.DataFrame:
    """Lists the photos of a collection whose label is probably wrong.

    Args:
        answers: A row a picture: photo, split, species and probabilities (an array), by a network
            that had not seen it. The index is the pictures' positions in the shards.
        labels: The species, in the order of the probabilities.
        manifest: A row a photo, with columns photo and path.

    Returns:
        picture (its position in the shards), photo, path, split, species, suggested, probability
        (of the suggested species), own_probability (of the label); one row a photo, the least
        credible label first.
    """
    probabilities = np.stack(answers["probabilities"].to_list())
    own = positions(answers["species"], labels)
    table = answers[["photo", "split", "species"]].rename_axis("picture").reset_index()
    table = table.assign(
        suggested=np.array(labels)[probabilities.argmax(axis=1)],
        probability=probabilities.max(axis=1),
        own_probability=probabilities[np.arange(len(own)), own],
        margin=margins(probabilities, own),
    )[suspected(probabilities, own)]
    table = table.sort_values(["margin", "photo"], kind="stable").drop_duplicates("photo")
    table.insert(2, "path", table["photo"].map(manifest.set_index("photo")["path"]))
    return table.drop(columns="margin").reset_index(drop=True)


def save(suspects: pd.DataFrame, answers: pd.DataFrame, path: Path) -> dict[str, Any]:
    """Writes the list as CSV; its lines are a start for `data/corrections.csv`.

    Args:
        suspects: From `find`.
        answers: All that `find` went through.
        path: The CSV.

    Returns:
        The section of `metrics.json`: photos (all), suspected, and the first of them.
    """
    with atomic.atomic_write(path) as partial:
        suspects.drop(columns="picture").to_csv(partial, index=False)
    first = suspects.head(SHOWN).to_dict("records")
    return {"photos": answers["photo"].nunique(), "suspected": len(suspects), "first": first}
