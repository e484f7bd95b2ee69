"""Decides which square parts of a photo a network sees, given where its subject is."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.inference import detections, motion
from pipeline.inference.decoding import MAX_PIXELS, PhotoError, grey
from pipeline.inference.detector import Detector

FILE = "finding.json"  # beside the network
LEAST = 0.13  # of the longer side: what was found is seen with as much around it, at least
# A second, wider part: the margin in shares of the box's longer side, and the least side.
WIDER_MARGIN, WIDER_LEAST = 0.5, 0.3
View = list[float] | None  # a part of a photo, as `decoding.cut` takes it; None for all of it
WHOLE: list[View] = [None]


def squares(boxes: np.ndarray, sides: np.ndarray, margin: float, least: float = 0.0) -> np.ndarray:
    """Returns squares around boxes, moved to lie inside the photo.

    Where a photo is too narrow for one, its whole width is taken.

    Args:
        boxes: x and y of the left upper corner, width and height, in shares of the sides, (n, 4).
        sides: Width and height of each photo (px), (n, 2).
        margin: Share of a box's longer side that is added on each side.
        least: Share of the photo's longer side that the square has at least. Defaults to 0.

    Returns:
        The same in shares of the sides, (n, 4), rounded to six decimals.
    """
    side = (boxes[:, 2:] * sides).max(axis=1, keepdims=True) * (1 + 2 * margin)
    side = np.maximum(side, least * sides.max(axis=1, keepdims=True))
    size = np.minimum(side / sides, 1)
    start = (boxes[:, :2] + boxes[:, 2:] / 2 - size / 2).clip(0, 1 - size)
    return np.concatenate([start, size], axis=1).round(6)


@dataclass(frozen=True)
class SubjectCrop:
    """Cuts the subject out of photos, as for training.

    Attributes:
        margin: Share of a box's longer side that is added on each side.
        find: Where the boxes of training came from, and so what a photo without a box is searched
            for: what moves in the frames of a burst (`motion`), or nothing (`boxes`), as people
            drew them.
        views: Whether the network sees the whole photo, the part around the subject and a wider
            part, and the mean of its answers counts. Defaults to False: it sees the part in place
            of the photo.
        detector: The file, beside this one, of the network that boxes animals too. Defaults to
            none.
    """

    margin: float
    find: Literal["motion", "boxes"] = "motion"
    views: bool = False
    detector: str | None = None

    @classmethod
    def load(cls, recogniser: Path) -> "SubjectCrop | None":
        """Reads it from a recogniser's folder; None where that one sees whole photos."""
        file = recogniser / FILE
        return cls(**json.loads(file.read_text())) if file.exists() else None

    def written(self) -> bytes:
        """Returns the content of its file."""
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        return f"{json.dumps(fields)}\n".encode()

    @property
    def parts(self) -> list[tuple[float, float]]:
        """The margin of each part, and the share of the photo's longer side it has at least."""
        if self.views:
            return [(self.margin, LEAST), (WIDER_MARGIN, WIDER_LEAST)]
        return [(self.margin, LEAST if self.find == "motion" else 0.0)]

    def around(self, box: Sequence[float], sides: Sequence[float]) -> list[View]:
        """Returns what of a photo the network shall see.

        Args:
            box: Around the subject: x and y of the left upper corner, width and height, in shares
                of the upright photo's sides.
            sides: Its width and height (px).
        """
        boxes, photos = np.array([box], np.float64), np.array([sides], np.float64)
        parts = [squares(boxes, photos, *part)[0].tolist() for part in self.parts]
        return [*WHOLE, *parts] if self.views else parts

    def in_burst(
        self,
        frames: Sequence[bytes],
        max_pixels: int = MAX_PIXELS,
        network: Detector | None = None,
    ) -> list[list[View]]:
        """Returns what of each frame of a burst, or of a photo alone, the network shall see.

        Args:
            frames: The bytes of the photos' files. What moves is found in three or more.
            max_pixels: A frame that claims more is not searched.
            network: The one that `detector` names. Defaults to none.
        """
        views = [WHOLE] * len(frames)
        if self.find == "boxes" and network is None:
            return views
        readable = {}
        for number, data in enumerate(frames):
            with suppress(PhotoError):  # whoever answers it says so
                frame = grey(data, motion.SIDE, max_pixels)
                readable[number] = frame, network and network.boxes(data, max_pixels)
        small = [frame for frame, _ in readable.values()]
        moving = motion.find(small) if self.find == "motion" else [[]] * len(small)
        for number, in_motion in zip(readable, moving, strict=True):
            frame, by_network = readable[number]
            if box := detections.first(in_motion, by_network):
                views[number] = self.around(box, frame.shape[::-1])
        return views
