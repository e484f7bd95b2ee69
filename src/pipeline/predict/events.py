"""Pools the answers to the photos of a camera's bursts to one answer an event."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset import events
from pipeline.inference.pooling import Pooling

Answer = dict[str, Any]
Key = int | str  # of an event: its number, or the path of a clip, which is one of its own
# Of an answer: its camera and its time (ISO 8601); None where either is not known.
Locate = Callable[[Answer], tuple[str | None, str | None]]
FIELDS = ("event", "event_species", "event_probability", "event_unknown")
COLUMNS = (
    *("event", "camera", "start", "end", "photos", "species", "probability", "unknown"),
    "prediction_set",
)


def by_folder(answer: Answer) -> tuple[str | None, str | None]:
    """Takes each folder for the card of one camera, and the time from the photo's EXIF data."""
    return PurePosixPath(answer["path"]).parent.as_posix(), answer["taken_at"]


@dataclass(frozen=True)
class Events:
    """Makes events of answers, one camera in memory at a time.

    Attributes:
        labels: The species that the recogniser knows.
        pooling: How it pools frames.
        gap: The longest pause between two photos of one event (s).
        locate: Tells camera and time of an answer.
        top: How many species the answers keep in `top`.
    """

    labels: Sequence[str]
    pooling: Pooling
    gap: float = events.GAP
    locate: Locate = by_folder
    top: int = 3

    def beside(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """Yields each answer with that of its event, and `top` cut to its length.

        Args:
            answers: From `batch.answers`. Photos of one camera that stand together become events.

        Yields:
            The answers with `FIELDS`: the event, named after its camera and first second, its most
            probable species with the calibrated probability, and whether that is unknown. They are
            null for photos without a time.
        """
        for rows, event_of, table in self._cameras(answers):
            for answer, event in zip(rows, event_of, strict=True):
                one = dict.fromkeys(FIELDS) if event is None else _fields(table[event])
                yield answer | {"top": answer["top"][: self.top]} | one

    def rows(self, answers: Iterable[Answer]) -> Iterator[dict[str, Any]]:
        """Yields a row an event (`COLUMNS`), its `prediction_set` as a list.

        Args:
            answers: From `batch.answers`.
        """
        for _, _, table in self._cameras(answers):
            yield from table.values()

    def _cameras(
        self, answers: Iterable[Answer]
    ) -> Iterator[tuple[list[Answer], list[Key | None], dict[Key, dict[str, Any]]]]:
        """Yields the answers of a camera that stand together, the event of each, and their rows."""
        for camera, several in groupby(answers, key=lambda answer: self.locate(answer)[0]):
            rows = list(several)
            is_photo = [row["error"] is None and not row.get("frames") for row in rows]
            time = pd.Series([self.locate(row)[1] for row in rows], dtype="str").where(is_photo)
            cameras = pd.Series(camera, index=time.index, dtype="str")
            number = events.number(cameras, time, self.gap)
            table = self._of_photos(rows, number.dropna().astype(int))
            event_of: list[Key | None] = [None if pd.isna(one) else int(one) for one in number]
            for i, row in enumerate(rows):
                if row.get("frames"):
                    event_of[i], table[row["path"]] = row["path"], self._clip(row)
            yield rows, event_of, table

    def _of_photos(self, rows: list[Answer], number: pd.Series) -> dict[Key, dict[str, Any]]:
        """Returns the row of each event; `number` is that of a photo, by its place in `rows`."""
        if number.empty:
            return {}
        probabilities = np.stack([self._probabilities(rows[i]) for i in number.index])
        answers = self.pooling.answers(probabilities, number.to_numpy(), self.labels)
        members = number.groupby(number).groups
        return {
            event: self._row([rows[i] for i in members[event]], answers[event]) for event in members
        }

    def _row(self, members: list[Answer], answer: np.ndarray) -> dict[str, Any]:
        times = sorted((self.locate(row)[1] for row in members), key=instant)
        camera = self.locate(members[0])[0]
        calibration, best = self.pooling.calibration, int(answer.argmax())
        held = calibration.sets(answer)
        order = np.argsort(-answer, kind="stable")
        return {
            "event": f"{camera} {times[0]}",
            "camera": camera,
            "start": times[0],
            "end": times[-1],
            "photos": len(members),
            "species": self.labels[best],
            "probability": round(float(answer[best]), 6),
            "unknown": bool(answer[best] < calibration.unknown_below),
            "prediction_set": [self.labels[i] for i in order if held[i]],
        }

    def _clip(self, answer: Answer) -> dict[str, Any]:
        """Returns the row of a clip, which is pooled already."""
        camera, time = self.locate(answer)
        own = ("species", "probability", "unknown", "prediction_set")
        return {
            "event": answer["path"],
            "camera": camera,
            "start": time,
            "end": time,
            "photos": len(answer["frames"]),
            **{name: answer[name] for name in own},
        }

    def _probabilities(self, answer: Answer) -> np.ndarray:
        """Returns the probability of each species; those that `top` leaves out share the rest."""
        known = {one["species"]: one["probability"] for one in answer["top"]}
        left = len(self.labels) - len(known)
        rest = max(0.0, 1 - sum(known.values())) / left if left else 0.0
        probabilities = np.array([known.get(label, rest) for label in self.labels])
        return probabilities / probabilities.sum()


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "event": row["event"],
        **{f"event_{name}": row[name] for name in ("species", "probability", "unknown")},
    }


def instant(time: str) -> pd.Timestamp:
    """Returns a time (ISO 8601), to be compared with others whatever their zones."""
    return pd.to_datetime(time, utc=True)
