"""Checks the params of a batch of photos, and answers it.

MLflow's scoring server and `animal serve` both answer from here, in the same words.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.inference import decoding
from pipeline.inference.crops import WHOLE, View
from pipeline.inference.recogniser import TOP_K, Recogniser, bytes_of

MAX_ROWS = 1000  # of one request to a server: about ten seconds of two cores
MAX_EXPLAINED = 16  # rows; a heat map costs as much as fifty answers
MAX_BURST = 64  # rows; all are compared with each other, in memory
ON_ERROR = ("fail", "row")
TYPES = {
    "top_k": int,
    "threshold": float,
    "explain": bool,
    "on_error": str,
    "burst": bool,
    "boxes": list,
}
WHOLE_BOX = [0, 0, 1, 1]
_LARGEST = sys.float_info.max  # JSON's whole numbers have no bound
_PRECISION = 1e-6  # of a box, as programs round it


class QueryError(ValueError):
    """A query that cannot be answered, in one sentence for the sender."""


@dataclass(frozen=True)
class Query:
    """Settings of a request: how photos are to be answered.

    Attributes:
        top_k: The length of `top`, 1 or more.
        threshold: The probability, 0 to 1, below which an answer is unknown; None: what was fitted
            decides.
        explain: Whether to add `explanation`.
        on_error: `fail` refuses all rows if one is no photo; `row` answers the others, and that row
            with a sentence in `error` and nothing else.
        burst: Whether the rows are frames that one fixed camera took shortly after each other. Then
            what moves is seen closely, if the recogniser was trained so, and each row has what
            all show together: `event_species`, `event_probability` and `event_unknown`.
        boxes: Where the animal is in each row, four numbers a row: x and y of the left upper
            corner, width and height, in shares of the upright photo's sides. It is seen closely, if
            the recogniser was trained so. Empty: nobody says.
    """

    top_k: int = TOP_K
    threshold: float | None = None
    explain: bool = False
    on_error: str = ON_ERROR[0]
    burst: bool = False
    boxes: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, params: dict[str, Any]) -> "Query":
        """Builds a query from the params of a request.

        Args:
            params: Names and values.

        Raises:
            QueryError: A param is unknown, of another type, or out of its range.
        """
        for name, value in params.items():
            if name not in TYPES:
                raise QueryError(f"unknown param {name[:50]!r}; valid: {', '.join(TYPES)}")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            kinds = {
                "top_k": number and value == value // 1,
                "threshold": number or value is None,
                "explain": isinstance(value, bool),
                "on_error": isinstance(value, str),
                "burst": isinstance(value, bool),
                "boxes": isinstance(value, list)
                and all(isinstance(one, int | float) and not abs(one) > _LARGEST for one in value),
            }
            if not kinds[name]:
                shown = repr(value)[:50]
                raise QueryError(f"{name} is {shown}; it must be {TYPES[name].__name__}")
        query = cls(**params)
        query = replace(query, top_k=int(query.top_k), boxes=[*map(float, query.boxes)])
        if not query.top_k >= 1:
            raise QueryError(f"top_k is {query.top_k}; it must be 1 or more")
        if query.threshold is not None and not 0 <= query.threshold <= 1:
            raise QueryError(f"threshold is {query.threshold}; it must be 0 to 1")
        if query.on_error not in ON_ERROR:
            raise QueryError(f"on_error is {query.on_error[:50]!r}; it must be `fail` or `row`")
        return query

    def require_rows(self, rows: int, most: int | None = MAX_ROWS) -> None:
        """Checks that there are not too many rows.

        Args:
            rows: How many there are.
            most: How many there may be. None: any number.

        Raises:
            QueryError: There are more than that, more than can be explained or be one burst, or not
                as many boxes.
        """
        if most is not None and rows > most:
            raise QueryError(f"there are {rows:,} rows; at most {most:,} can be sent at once")
        if self.explain and rows > MAX_EXPLAINED:
            raise QueryError(f"there are {rows:,} rows; at most {MAX_EXPLAINED} can be explained")
        if self.burst and rows > MAX_BURST:
            raise QueryError(f"there are {rows:,} rows; at most {MAX_BURST} can be one burst")
        if self.boxes and len(self.boxes) != 4 * rows:
            numbers = f"boxes has {len(self.boxes)} numbers for {rows} rows"
            raise QueryError(f"{numbers}; it must have four a row: x, y, width, height")
        for row in range(len(self.boxes) // 4):
            x, y, width, height = box = self.box(row)
            most = 1 + _PRECISION
            inside = x >= 0 and y >= 0 and x + width <= most and y + height <= most
            if not (inside and width > 0 and height > 0):
                shape = "x, y, width, height in shares of the photo's sides"
                shown = ", ".join(f"{one:g}" for one in box)
                raise QueryError(f"the box of row {row} is {shown}; it must be {shape}, inside it")

    def box(self, row: int) -> list[float]:
        """Returns the box of a row; all of the photo where none is given."""
        return self.boxes[4 * row : 4 * row + 4] or WHOLE_BOX


DEFAULTS = asdict(Query())


def answer_rows(
    recogniser: Recogniser, images: Sequence[Any], query: Query, version: str, light: bool = False
) -> list[dict[str, Any]]:
    """Answers photos, on all cores.

    Args:
        recogniser: Answers each.
        images: Bytes of photo files, or the same in base64.
        query: How.
        version: Added to each answer.
        light: Whether to add what `decoding.light` measures. Defaults to False.

    Returns:
        The answers in the order of the images; with `on_error` of `row`, each has `error`.

    Raises:
        QueryError: A row is no photo, and `on_error` is `fail`.
    """
    # Who gives boxes says where there is no animal, too.
    alone = WHOLE if query.boxes else None
    views = _views(recogniser, images) if query.burst else [alone] * len(images)
    top_k = len(recogniser.labels) if query.burst else query.top_k

    def answer(row: tuple[int, Any]) -> dict[str, Any]:
        number, image = row
        try:
            data = bytes_of(image)
            seen, box = views[number], query.box(number)
            if recogniser.crop is not None and box != WHOLE_BOX:
                sides = decoding.upright_size(data, recogniser.max_pixels)
                seen = recogniser.crop.around(box, sides)
            answered = recogniser.answer(data, top_k, query.threshold, query.explain, light, seen)
        except decoding.PhotoError as error:
            sentence = f"row {number} of `image` is not a photo that can be read: {error}"
            if query.on_error == "fail":
                raise QueryError(sentence) from None
            return {"version": version, "error": sentence}
        error = {"error": None} if query.on_error == "row" else {}
        return answered | {"version": version} | error

    rows = recogniser.network.map_ordered(answer, enumerate(images))
    return _pooled(recogniser, rows, query.top_k) if query.burst else rows


def _views(recogniser: Recogniser, images: Sequence[Any]) -> list[list[View]]:
    """Returns what of each frame the network shall see."""
    frames = []
    for image in images:
        try:
            frames.append(bytes_of(image))
        except decoding.PhotoError:
            frames.append(b"")  # its own answer says why
    return recogniser.views(frames)


def event_probabilities(recogniser: Recogniser, rows: Sequence[dict]) -> np.ndarray:
    """Returns the calibrated answer to an event, (species,).

    Args:
        recogniser: Answered the rows.
        rows: The answers to its frames, with all species in `top`; at least one.
    """
    listed = ({one["species"]: one["probability"] for one in row["top"]} for row in rows)
    probabilities = np.array([[one[label] for label in recogniser.labels] for one in listed])
    number = np.zeros(len(rows), dtype=int)
    return recogniser.pooling.answers(probabilities, number, recogniser.labels)[0]


def _pooled(recogniser: Recogniser, rows: list[dict], top_k: int) -> list[dict[str, Any]]:
    """Adds the answer to the event to each row that has one, and cuts `top` to its length."""
    answered = [row for row in rows if row.get("species") is not None]
    if not answered:
        return rows
    event = event_probabilities(recogniser, answered)
    best = int(event.argmax())
    common = {
        "event_species": recogniser.labels[best],
        "event_probability": float(event[best]),
        "event_unknown": bool(event[best] < recogniser.pooling.calibration.unknown_below),
    }
    return [row | {"top": row["top"][:top_k]} | common if "top" in row else row for row in rows]
