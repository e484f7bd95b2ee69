"""Judges the pooled answers to the events of fixed cameras, beside those to single frames."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from pipeline.evaluate import calibration_fit
from pipeline.evaluate.scores import Scores
from pipeline.inference.calibration import Calibration
from pipeline.inference.pooling import ARITHMETIC, BLANK, GEOMETRIC, Pooling, pooled
from pipeline.train.metrics import positions

_LEAST_SHARE = 0.5  # of photos that share their event with another one; below, photos stand alone


def occur(event: pd.Series) -> bool:
    """Tells whether most photos share their event with another one."""
    return bool(event.duplicated(keep=False).mean() >= _LEAST_SHARE)


def species(shown: pd.Series, event: pd.Series) -> pd.Series:
    """Returns the species of each event: the animal that most of its frames show, else `blank`.

    Args:
        shown: The species of each frame, or `blank`.
        event: The event of each frame.

    Returns:
        Species by event, sorted by event.
    """
    frames = pd.DataFrame({"event": event, "species": shown, "blank": shown == BLANK})
    counts = frames.groupby(["event", "blank", "species"]).size().rename("frames").reset_index()
    order = counts.sort_values(["event", "blank", "frames"], ascending=[True, True, False])
    return order.drop_duplicates("event").set_index("event")["species"]


def fit(
    held_out: pd.DataFrame, event: pd.Series, calibration: Calibration, labels: tuple[str, ...]
) -> Pooling | None:
    """Chooses how frames are pooled, and calibrates the result, on photos that training held out.

    Args:
        held_out: A row a picture: photo, species and the network's own probabilities.
        event: Of each photo, by photo.
        calibration: Of the network's answers to frames.
        labels: The species, in the order of the probabilities.

    Returns:
        The pooling by the mean with the higher log-likelihood; None where there are no events.
    """
    names = held_out["photo"].map(event)
    if not occur(names):
        return None
    probabilities = calibration.apply(np.stack(held_out["probabilities"]))
    truth = species(held_out["species"], names)
    number, targets = truth.index.get_indexer(names), positions(truth, labels)
    fitted = []
    for mean in (GEOMETRIC, ARITHMETIC):
        answers = pooled(mean, probabilities, number, labels)
        pooling = Pooling(mean, calibration_fit.fit(answers, targets))
        calibrated = pooling.calibration.apply(answers)
        likely = calibrated[np.arange(len(targets)), targets]
        fitted.append((np.log(likely.clip(1e-12)).mean(), pooling))
    return max(fitted, key=lambda pair: pair[0])[1]


def tested(
    pooling: Pooling | None, test: pd.DataFrame, probabilities: np.ndarray, labels: Sequence[str]
) -> dict[str, Any]:
    """Judges the pooled answers to test events.

    Args:
        pooling: How frames are pooled; None for a recogniser of single photos.
        test: The test pictures: species and event.
        probabilities: The calibrated answers to them, (n, species).
        labels: The species, in the order of the probabilities.

    Returns:
        The section `events` of `metrics.json`: events, frames, the numbers of `Scores.summary`
        over events but `photos`, recall and number of events of each species that occurs, and
        pooling. Nothing where there is no pooling.
    """
    if pooling is None:
        return {}
    truth = species(test["species"], test["event"])
    answers = pooling.answers(probabilities, truth.index.get_indexer(test["event"]), labels)
    scores = Scores(answers, positions(truth, tuple(labels)), tuple(labels))
    numbers, rows = scores.summary(), scores.per_species().query("support > 0")
    section = {
        "events": int(numbers.pop("photos")),
        "frames": len(test),
        **numbers,
        "species": rows.set_index("species")[["recall", "support"]].to_dict("index"),
        "pooling": asdict(pooling),
    }
    return {"events": section}
