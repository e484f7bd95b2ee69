"""Pools the answers to the photos of a camera's bursts to one answer an event."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset import events
from pipeline.inference.calibration import Calibration
from pipeline.inference.pooling import Pooling

Answer = dict[str, Any]
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

    @classmethod
    def of(cls, recogniser: Path, labels: Sequence[str], **settings: Any) -> "Events":
        """Reads how a recogniser pools frames.

        Args:
            recogniser: Its folder.
            labels: The species it knows.
            settings: Other attributes.
        """
        about = json.loads((recogniser / "labels.json").read_text())
        pooling = Pooling.load(recogniser, Calibration(**about["calibration"]))
        return cls(labels, pooling, **settings)

    def beside(self, answers: Iterable[Answer]) -> Iterator[Answer]:
        """Yields each answer with that of its event, and `top` cut to its length.

        Args:
            answers: From `batch.answers`. Photos of one camera that stand together become events.

        Yields:
            The answers with `FIELDS`: the event, named after its camera and first second, its most
            probable species with the calibrated probability, and whether that is unknown. They are
            null for photos without a time.
        """
        for rows, number in self._cameras(answers):
            table = self._table(rows, number)
            for answer, event in zip(rows, number, strict=True):
                one = dict.fromkeys(FIELDS) if event is None else _fields(table[event])
                yield answer | {"top": answer["top"][: self.top]} | one

    def rows(self, answers: Iterable[Answer]) -> Iterator[dict[str, Any]]:
        """Yields a row an event (`COLUMNS`), its `prediction_set` as a list.

        Args:
            answers: From `batch.answers`.
        """
        for rows, number in self._cameras(answers):
            yield from self._table(rows, number).values()

    def _cameras(
        self, answers: Iterable[Answer]
    ) -> Iterator[tuple[list[Answer], list[int | str | None]]]:
        """Yields the answers of a camera that stand together, and the event of each.

        It is a number; of a clip, its path.
        """
        for _, several in groupby(answers, key=lambda answer: self.locate(answer)[0]):
            rows = list(several)
            camera, time = zip(*map(self.locate, rows), strict=True)
            is_photo = [row["error"] is None and not row.get("frames") for row in rows]
            time = pd.Series(time, dtype="str").where(is_photo)
            number = events.number(pd.Series(camera, dtype="str"), time, self.gap)
            yield (
                rows,
                [
                    row["path"] if row.get("frames") else None if pd.isna(event) else int(event)
                    for row, event in zip(rows, number, strict=True)
                ],
            )

    def _table(
        self, rows: list[Answer], number: list[int | str | None]
    ) -> dict[int | str, dict[str, Any]]:
        """Returns the row of each event of a camera, by its number or its clip's path."""
        of_clips = {row["path"]: self._clip(row) for row in rows if row.get("frames")}
        frames = [
            (event, row) for row, event in zip(rows, number, strict=True) if isinstance(event, int)
        ]
        if not frames:
            return of_clips
        probabilities = np.stack([self._probabilities(row) for _, row in frames])
        event = np.array([event for event, _ in frames])
        answers = self.pooling.answers(probabilities, event, self.labels)
        members: dict[int, list[Answer]] = {}
        for one, row in frames:
            members.setdefault(one, []).append(row)
        of_photos = {one: self._row(members[one], answers[one]) for one in sorted(members)}
        return of_photos | of_clips

    def _row(self, members: list[Answer], answer: np.ndarray) -> dict[str, Any]:
        times = sorted((self.locate(row)[1] for row in members), key=_instant)
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
        """Returns the row of a clip, which is an event of its own and pooled already."""
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


def _instant(time: str) -> pd.Timestamp:
    return pd.to_datetime(time, utc=True)
