"""Answers short videos of camera traps: frames of a clip are a burst, and its answer is theirs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.inference import decoding
from pipeline.inference.open_set import NO_ANIMAL, SPECIES, UNKNOWN_ANIMAL
from pipeline.inference.query import Query, answer_rows, event_probabilities
from pipeline.inference.recogniser import Recogniser
from pipeline.sources.clips import frames, taken_at


def answer(recogniser: Recogniser, read: Callable[[], bytes], top_k: int) -> dict[str, Any]:
    """Answers a clip, as its frames are answered in a request with the param `burst`.

    Args:
        recogniser: Answers.
        read: Returns the bytes of the file, or raises `decoding.PhotoError`.
        top_k: How long `top` is.

    Returns:
        The fields of a photo's answer that a clip has, and `frames`: the second, the species and
        its probability of each frame.

    Raises:
        PhotoError: The file cannot be read, or no frame of it can.
    """
    data = read()
    pictures, seconds = frames(data, recogniser.max_pixels)
    query = Query(burst=True, top_k=len(recogniser.labels))
    rows = answer_rows(recogniser, pictures, query, version="", light=True)
    event = event_probabilities(recogniser, rows)
    calibration = recogniser.pooling.calibration
    kind = _kind(rows, event.max(), calibration.unknown_below)
    return {
        "photo": decoding.identity(data),
        "taken_at": taken_at(data),
        **recogniser.described(event, calibration, kind, top_k),
        **{
            name: float(np.mean([row[name] for row in rows]))
            for name in ("brightness", "sharpness")
        },
        "frames": [
            {"second": second, **{name: row[name] for name in ("species", "probability")}}
            for second, row in zip(seconds, rows, strict=True)
        ],
    }


def _kind(rows: list[dict[str, Any]], probability: float, limit: float) -> dict[str, str]:
    """Returns kind and reason: nothing where most frames show no animal, else by all together."""
    empty = sum(row["kind"] == NO_ANIMAL for row in rows)
    if 2 * empty > len(rows):
        return {"kind": NO_ANIMAL, "reason": f"{empty} of {len(rows)} frames show no animal"}
    word, kind = ("below", UNKNOWN_ANIMAL) if probability < limit else ("at least", SPECIES)
    together = f"the probability of {len(rows)} frames together, {probability:.2f}"
    return {"kind": kind, "reason": f"{together}, is {word} {limit:.2f}"}
