"""The model that `mlflow models serve` runs: photos in, species out.

This file is the served model's code ("models from code"): MLflow copies it and the files that it
imports into the model, and runs it where the rest of the project is not installed. TensorFlow is
not needed, nothing is unpickled and nothing is written.
"""

import os
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from pipeline.inference import checksums, decoding, scoring_hooks
from pipeline.inference.calibration import Calibration
from pipeline.inference.recogniser import TOP_K, Recogniser, bytes_of

MAX_ROWS = 1000  # of one request to a server: about ten seconds of two cores
MAX_EXPLAINED = 16  # rows; a heat map costs as much as fifty answers
ON_ERROR = ("fail", "row")
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow's scoring server sets it


class Refused(MlflowException):
    """A call that cannot be answered: status 400 and this one sentence."""

    def __init__(self, sentence: str):
        self._sentence = sentence
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        return self._sentence

    @message.setter
    def message(self, _: str) -> None:
        """The scoring server puts the request's whole body in front of the sentence; not here."""


class NotAnImage(Refused):
    """A row that holds no photo."""

    def __init__(self, row: int, reason: str):
        super().__init__(f"row {row} of `image` is not a photo that can be read: {reason}")


class Served(mlflow.pyfunc.PythonModel):
    """Answers a frame with a column `image` with a row a photo, as `Recogniser.answer` does, and
    with the `version` of the registered model; in a server with a list of these rows. Safe to call
    from several threads.

    An image is the bytes of a photo file, or the same in base64. A call may have the params

    - `top_k`, how long `top` is, 1 or more,
    - `threshold`, 0 to 1, below which an answer is unknown; the default was fitted,
    - `explain`, whether to add `explanation`,
    - `on_error`: `fail` refuses a call with an image that cannot be read and names the row; `row`
      answers the others, and that row with a sentence in `error` and nothing else.
    """

    def load_context(self, context) -> None:
        folder = Path(context.artifacts["recogniser"])
        checksums.verify(folder.parents[1])
        self.recogniser = Recogniser(folder)
        self.version = _version(folder.parents[1])
        scoring_hooks.open_in_server(self._one)

    def predict(
        self, context, model_input: pd.DataFrame, params=None
    ) -> pd.DataFrame | list[dict[str, Any]]:
        params = self._checked(params or {}, len(model_input))
        images = list(enumerate(model_input["image"]))
        answers = self.recogniser.network.each(lambda image: self._answer(*image, params), images)
        if _SERVING in os.environ:
            return answers  # a frame would be made only to be taken apart: a tenth of a request
        frame = pd.DataFrame(answers, dtype=object)
        if params["on_error"] == "row":  # what a row lacks is None; JSON has no NaN
            frame = frame.where(frame.notna(), None)
        return frame

    def _one(self, image: str) -> dict[str, Any]:
        """The answer to a call in a server that has one row and no params."""
        return self._answer(0, image, self._checked({}, rows=1))

    def _checked(self, params: dict[str, Any], rows: int) -> dict[str, Any]:
        params = defaults(self.recogniser.calibration) | params
        if params["top_k"] < 1:
            raise Refused(f"top_k is {params['top_k']}; it must be 1 or more")
        if not 0 <= params["threshold"] <= 1:
            raise Refused(f"threshold is {params['threshold']}; it must be 0 to 1")
        if params["on_error"] not in ON_ERROR:
            raise Refused(f"on_error is {params['on_error']!r}; it must be `fail` or `row`")
        if rows > MAX_ROWS and _SERVING in os.environ:
            raise Refused(f"there are {rows:,} rows; at most {MAX_ROWS:,} can be asked at once")
        if params["explain"] and rows > MAX_EXPLAINED:
            raise Refused(f"there are {rows:,} rows; at most {MAX_EXPLAINED} can be explained")
        return params

    def _answer(self, row: int, image: Any, params: dict[str, Any]) -> dict[str, Any]:
        wanted = params["top_k"], params["threshold"], params["explain"]
        try:
            answer = self.recogniser.answer(bytes_of(image), *wanted)
        except decoding.PhotoError as error:
            refused = NotAnImage(row, str(error))
            if params["on_error"] == "fail":
                raise refused from None
            return {"version": self.version, "error": refused.message}
        error = {"error": None} if params["on_error"] == "row" else {}
        return answer | {"version": self.version} | error


def defaults(calibration: Calibration) -> dict[str, Any]:
    """The params of a call, and what they are where it has none."""
    return {
        "top_k": TOP_K,
        "threshold": calibration.unknown_below,
        "explain": False,
        "on_error": ON_ERROR[0],
    }


def _version(model: Path) -> str:
    """The number in the registry, which MLflow writes beside a model that it fetches by it; or
    the model's own name if it was fetched by that."""
    for name, key in (("registered_model_meta", "model_version"), ("MLmodel", "model_id")):
        if (model / name).exists():
            return str(yaml.safe_load((model / name).read_text())[key])
    return ""


mlflow.models.set_model(Served())
