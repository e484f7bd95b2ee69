"""Answers what a photo shows: decode, orient, resize, infer, calibrate, answer.

`mlflow models serve`, `animal serve` and `animal predict` all answer from here.
"""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.inference import decoding, detector, heat_maps, motion
from pipeline.inference.calibration import Calibration
from pipeline.inference.crops import WHOLE, SubjectCrop, View
from pipeline.inference.litert import MAIN, MAPS, Network, view_mean
from pipeline.inference.novelty import FILE, NoveltyDetector
from pipeline.inference.open_set import SPECIES, ImageNet, OpenSetRule
from pipeline.inference.pooling import Pooling
from pipeline.inference.taxonomy import Taxonomy

TOP_K = 3
MAX_BYTES = 64 * 2**20  # of one photo
_URL_SAFE = str.maketrans("-_", "+/")
# What people send in its place. All but hexadecimal digits hold a character that base64 lacks; a
# photo in base64 has no sixteen hexadecimal digits and nothing else.
_NO_BASE64 = {
    "an address": re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://"),
    "a path": re.compile(r"([A-Za-z]:|\\|~/|\.{1,2}/)|.{1,400}\.[A-Za-z]{3,4}$"),
    "hexadecimal": re.compile(r"(0x)?[0-9a-fA-F]{16,}$"),
}


class Recogniser:
    """A network with all that its answers need. Safe to call from several threads.

    Args:
        folder: With `model.tflite` and `labels.json`, and what else evaluate wrote beside them.
        workers: Interpreters to keep. Defaults to one a core.

    Attributes:
        labels: The species it knows, in the order of the network's answers.
        max_pixels: Photos that claim more are refused.
        calibration: What makes its probabilities mean what they say.
        open_set: What tells known species, unknown animals and no animal apart.
        network: The network.
        crop: Tells what of a photo the network was trained to see, given a burst or a box; None
            where that is whole photos.
        detector: Boxes animals in photos; None where it carries none.
        pooling: How it answers for all frames of a burst.
        taxonomy: What says a genus or more where the species is unsure; None where it knows no
            ranks.
    """

    def __init__(self, folder: Path, workers: int | None = None):
        about = json.loads((folder / "labels.json").read_text())
        self.labels, self._fit, self.max_pixels = (
            about[name] for name in ("labels", "fit", "max_pixels")
        )
        self.calibration = Calibration(**about["calibration"])
        novelty, imagenet = folder / FILE, about.get("imagenet")
        self.open_set = OpenSetRule(
            self.calibration.unknown_below,
            NoveltyDetector.from_bytes(novelty.read_bytes()) if novelty.exists() else None,
            ImageNet(**imagenet) if imagenet else None,
        )
        self.network = Network((folder / "model.tflite").read_bytes(), workers)
        self.crop = SubjectCrop.load(folder)
        carried = self.crop and self.crop.detector
        self.detector = detector.read(folder / carried) if carried else None
        self.pooling = Pooling.load(folder)
        self.taxonomy = Taxonomy.load(folder)

    def answer(
        self,
        data: bytes,
        top_k: int = TOP_K,
        threshold: float | None = None,
        explained: bool = False,
        light: bool = False,
        views: Sequence[View] | None = None,
    ) -> dict[str, Any]:
        """Answers what a photo shows.

        Args:
            data: The bytes of a photo file.
            top_k: How long `top` is.
            threshold: An answer less probable is unknown. Defaults to None: what was fitted
                decides.
            explained: Whether to add a heat map. It costs nothing where the network gives
                activation maps, and else as much as fifty answers.
            light: Whether to add brightness and sharpness, as `decoding.light` measures them.
            views: What of the photo the network sees; the mean of its answers counts. Heat map and
                light are those of the first. Defaults to None: `views` of the photo alone.

        Returns:
            `species`, the most probable one, and its calibrated `probability`; `top`, a list of
            both, the most probable first; whether it is `unknown`, that is, of another `kind` than
            `species`, with the `reason` and, for an unknown animal, what it `looks_like` (see
            `open_set`); `prediction_set`, the species that it may well be, the most probable first
            (see `calibration.Calibration`); `rank`, `taxon` and `taxon_probability` (see
            `taxonomy`), where it knows ranks; `cut_short`, where the file ends before the picture
            does (see `decoding.Sight`); and, if wanted, `explanation`, a PNG in base64 to lay over
            the square that the network saw, red where the photo speaks for the species.

        Raises:
            PhotoError: The bytes give no picture.
        """
        views = self.views([data])[0] if views is None else views
        squares = self._squares(data, views)
        picture, cut_short = squares[0]
        outputs = view_mean([self.network.outputs(pixels) for pixels, _ in squares])
        probabilities = self.calibration.apply(outputs[MAIN])
        kind = self.open_set.answer_kind(outputs, float(probabilities.max()), threshold)
        answer = self.described(probabilities, self.calibration, kind, top_k)
        if cut_short:
            answer["cut_short"] = True
        if light:
            answer |= decoding.light(picture)
        if explained:
            best = int(probabilities.argmax())
            if MAPS in outputs:
                heat = heat_maps.activation(outputs[MAPS], best, self.network.size)
            else:
                heat = heat_maps.occlusion(picture, best, self.network.one)
            answer["explanation"] = base64.b64encode(heat_maps.overlay(heat)).decode()
        return answer

    def described(
        self, probabilities: np.ndarray, calibration: Calibration, kind: dict[str, str], top_k: int
    ) -> dict[str, Any]:
        """Returns the fields of an answer to a photo, or to an event, that follow from these.

        Args:
            probabilities: Calibrated, (species,).
            calibration: Of these.
            kind: From `open_set`.
            top_k: How long `top` is.
        """
        order = np.argsort(-probabilities, kind="stable")
        likely = [
            {"species": self.labels[i], "probability": float(probabilities[i])} for i in order
        ]
        held = calibration.sets(probabilities)
        return {
            **likely[0],
            "top": likely[:top_k],
            "unknown": kind["kind"] != SPECIES,
            "prediction_set": [self.labels[i] for i in order if held[i]],
            **kind,
            **(self.taxonomy.answer(probabilities) if self.taxonomy else {}),
        }

    def views(self, frames: Sequence[bytes]) -> list[list[View]]:
        """Returns what of each frame of a burst, or of a photo alone, the network shall see.

        Args:
            frames: The bytes of the photos' files.
        """
        can_find = self.detector is not None or len(frames) >= motion.LEAST
        if self.crop is None or not can_find:
            return [WHOLE] * len(frames)
        return self.crop.in_burst(frames, self.max_pixels, self.detector)

    def picture(self, data: bytes) -> np.ndarray:
        """Returns the pixels that the network sees, uint8 (size, size, 3). Raises `PhotoError`."""
        return decoding.square(data, self.network.size, self._fit, self.max_pixels)

    def _squares(self, data: bytes, views: Sequence[View]) -> list[tuple[np.ndarray, bool]]:
        """Returns what the network sees of each view, as `decoding.read` does."""
        boxes = [view for view in views if view is not None]
        parts = iter(decoding.cut_all(data, boxes, self.max_pixels) if boxes else ())
        files = (data if view is None else next(parts) for view in views)
        return [decoding.read(f, self.network.size, self._fit, self.max_pixels) for f in files]


def bytes_of(image: Any) -> bytes:
    """Returns the bytes of a photo that is given as such or, for JSON, in base64.

    Args:
        image: Bytes, or base64: plain or URL-safe, padded or not, with line breaks or without, or
            the whole of a `data:` URL.

    Raises:
        PhotoError: It is neither, or too large.
    """
    if isinstance(image, str):
        if len(image) > 2 * MAX_BYTES:  # base64 has a good third more than the photo
            raise decoding.PhotoError("too_many_bytes", f"its base64 has {len(image):,} characters")
        image = _from_base64(image)
    if not isinstance(image, bytes | bytearray):
        kind = type(image).__name__
        raise decoding.PhotoError("not_an_image", f"it is {kind}, not bytes or base64")
    if len(image) > MAX_BYTES:
        claim = f"it has {len(image):,} bytes, over {MAX_BYTES:,}"
        raise decoding.PhotoError("too_many_bytes", claim)
    return bytes(image)


def _from_base64(text: str) -> bytes:
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise decoding.PhotoError("not_an_image", "it is a data URL that is not in base64")
    written = "".join(text.split())
    for kind, form in _NO_BASE64.items():
        if form.match(written):
            sentence = f"it is {kind}, not the photo: send the bytes of the file in base64"
            raise decoding.PhotoError("not_an_image", sentence)
    if "-" in written or "_" in written:
        written = written.translate(_URL_SAFE)
    try:
        bare = written.rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise decoding.PhotoError("not_an_image", "it is not base64") from None
