"""The model that `mlflow models serve` runs: photos in, species out.

This file is the served model's code ("models from code"): MLflow copies it, `photos.py` and
`litert.py` into the model, and runs it where the rest of the project is not installed. TensorFlow
is not needed.
"""

import base64
import binascii
import json
from contextlib import suppress
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from pipeline import photos
from pipeline.litert import Network

TOP = 3


class NotAnImage(MlflowException):
    """A row that holds no photo: answered with status 400 and this one sentence."""

    def __init__(self, row: int, reason: str):
        self._sentence = f"row {row} of `image` is not a photo that can be read: {reason}"
        super().__init__(self._sentence, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        return self._sentence

    @message.setter
    def message(self, _: str) -> None:
        """The scoring server puts the request's whole body in front of the sentence; not here."""


class Recogniser(mlflow.pyfunc.PythonModel):
    """Answers a frame with a column `image` (the bytes of photo files) with a row a photo.

    A row is `label`, `probability` (0 to 1) and `top3`, a list of label and probability, the
    most probable first. Safe to call from several threads.
    """

    def load_context(self, context) -> None:
        folder = Path(context.artifacts["recogniser"])
        about = json.loads((folder / "labels.json").read_text())
        self.labels, self.fit, self.max_pixels = (
            about[name] for name in ("labels", "fit", "max_pixels")
        )
        self.network = Network((folder / "model.tflite").read_bytes())

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        rows = list(enumerate(model_input["image"]))
        probabilities = self.network.each(self._probabilities, rows)
        return pd.DataFrame([self._answer(row) for row in probabilities])

    def _probabilities(self, numbered: tuple[int, bytes]) -> np.ndarray:
        row, data = numbered
        if not isinstance(data, bytes):
            raise NotAnImage(row, f"it is {type(data).__name__}, not bytes")
        with suppress(binascii.Error):  # MLflow decodes base64 in data frames, not in `inputs`
            data = base64.b64decode(data, validate=True)
        try:
            picture = photos.square(data, self.network.size, self.fit, self.max_pixels)
            return self.network.one(picture)
        except photos.PhotoError as error:
            raise NotAnImage(row, str(error)) from None

    def _answer(self, probabilities: np.ndarray) -> dict:
        top = [
            {"label": self.labels[i], "probability": float(probabilities[i])}
            for i in np.argsort(-probabilities, kind="stable")[:TOP]
        ]
        return {**top[0], "top3": top}


mlflow.models.set_model(Recogniser())
