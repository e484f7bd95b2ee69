"""Compares a challenger with the champion, on the same photos."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.dataset import group_bootstrap
from pipeline.inference import decoding
from pipeline.register import replay

DRAWS = 5000
CONFIDENCE = 0.95  # of the gate, one-sided
SPECIES, CHANGED = 200, 100  # rows that are listed: a version's tag holds 100 kB
_SHOWN, _SIDE = 40, 160  # on the page; px


def compare(answers: pd.DataFrame) -> dict[str, Any]:
    """Compares two recognisers' answers to the same photos.

    The interval is of the paired difference, by a bootstrap over groups (Koehn 2004, Statistical
    Significance Tests for Machine Translation Evaluation). McNemar's test (1947, Note on the
    Sampling Error of the Difference Between Correlated Proportions) asks whether, of the photos on
    which just one is right, either is right on more than chance explains. It is the exact one, and
    takes each photo for itself.

    Args:
        answers: A row a picture: photo, path, box, group, actual, challenger and champion (the
            species that each names).

    Returns:
        photos, accuracy and champion_accuracy, difference with low and high at level, one_sided
        (each end holds with a confidence of 0.95, as the gate wants it); gained (photos on which
        the challenger alone is right), lost, p_value; species (photos, recall, champion_recall,
        gained, lost of each, up to 200, the most changed first); changed (photo, path, box,
        actual, challenger, champion and whether it was gained, of up to 100 photos).
    """
    from scipy import stats  # a second that a version need not wait which is not compared

    ours, theirs = (answers[name] == answers["actual"] for name in ("challenger", "champion"))
    drawn = differences(ours, theirs, answers["group"])
    difference = ours.mean() - theirs.mean()
    low, high = group_bootstrap.interval(drawn, difference)
    gained, lost = ours & ~theirs, theirs & ~ours
    one_right = int(gained.sum() + lost.sum())
    table = pd.DataFrame(
        {
            "species": answers["actual"],
            "photos": 1,
            "recall": ours.astype(float),
            "champion_recall": theirs.astype(float),
            "gained": gained.astype(int),
            "lost": lost.astype(int),
        }
    )
    means = dict.fromkeys(("recall", "champion_recall"), "mean")
    species = table.groupby("species").agg(dict.fromkeys(table.columns[1:], "sum") | means)
    changes = (species["gained"] + species["lost"]).sort_values(ascending=False, kind="stable")
    columns = ["photo", "path", "box", "actual", "challenger", "champion"]
    changed = answers.loc[gained | lost, columns].assign(gained=gained[gained | lost])
    return {
        "photos": len(answers),
        "accuracy": float(ours.mean()),
        "champion_accuracy": float(theirs.mean()),
        "difference": float(difference),
        "low": float(low),
        "high": float(high),
        "level": group_bootstrap.LEVEL,
        "one_sided": np.quantile(drawn, [1 - CONFIDENCE, CONFIDENCE]).tolist(),
        "gained": int(gained.sum()),
        "lost": int(lost.sum()),
        "p_value": float(stats.binomtest(int(gained.sum()), one_right).pvalue)
        if one_right
        else 1.0,
        "species": species.loc[changes.index[:SPECIES]].reset_index().to_dict("records"),
        "changed": changed.sort_values("photo").head(CHANGED).to_dict("records"),
    }


def differences(ours: pd.Series, theirs: pd.Series, groups: pd.Series) -> np.ndarray:
    """Draws what the difference of two accuracies could have been on other photos of the kind.

    Args:
        ours: Whether one recogniser is right on each photo, bool (n,).
        theirs: Whether the other is.
        groups: The group of each photo; photos of a group are drawn together.

    Returns:
        (draws,), always the same for the same arguments.
    """
    values = ours.to_numpy(float) - theirs.to_numpy(float)
    weights = group_bootstrap.weights(groups, DRAWS, exponential=False)
    return np.concatenate([values @ w / w.sum(axis=0) for w in weights])


def pictures(compared: dict[str, Any] | None, root: Path) -> dict[str, bytes]:
    """Returns small pictures of changed photos, JPEGs by photo; photos that are gone are left out.

    Args:
        compared: From `compare`; None for none.
        root: The folder that the photos' paths start from.
    """
    jpegs = {}
    for row in (compared or {}).get("changed", [])[:_SHOWN]:
        try:
            data = replay.image(root / row["path"], row["box"])
            picture = decoding.square(data, _SIDE)
        except (replay.PhotoUnreadable, decoding.PhotoError):
            continue
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=80)
        jpegs[row["photo"]] = file.getvalue()
    return jpegs
