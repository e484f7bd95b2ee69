"""The model that `mlflow models serve` runs: photos in, species out.

This file is the served model's code ("models from code"): MLflow copies it and the files that it
imports into the model, and runs it where the rest of the project is not installed. TensorFlow is
not needed, nothing is unpickled and nothing is written.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from pipeline.inference import checksums, scoring_server
from pipeline.inference.query import MAX_ROWS, Query, QueryError, answer_rows
from pipeline.inference.recogniser import Recogniser


class Refused(MlflowException):
    """A call that cannot be answered: status 400 and this one sentence."""

    def __init__(self, sentence: str):
        self._sentence = sentence
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The sentence."""
        return self._sentence

    @message.setter
    def message(self, _: str) -> None:
        """The scoring server puts the request's whole body in front of the sentence; not here."""


class Served(mlflow.pyfunc.PythonModel):
    """Answers a frame with a column `image` with a row a photo, as `Recogniser.answer` does.

    Each row has the `version` of the registered model too. In a server the answer is a list of
    these rows. Safe to call from several threads.

    An image is the bytes of a photo file, or the same in base64. A call may have the params of
    `query.Query`.
    """

    def load_context(self, context) -> None:
        """Loads the recogniser from the version's files, whose checksums are verified."""
        folder = Path(context.artifacts["recogniser"])
        checksums.verify(folder.parents[1])
        self.recogniser = Recogniser(folder)
        self.version = _version(folder.parents[1])
        self.serving = scoring_server.is_loading()
        if self.serving:
            scoring_server.refuse_malformed_bodies()

    def predict(
        self, context, model_input: pd.DataFrame, params=None
    ) -> pd.DataFrame | list[dict[str, Any]]:
        """Answers the photos of a frame; `params` are those of `query.Query`."""
        images = model_input["image"].tolist()
        try:
            query = Query.of(params or {})
            query.require_rows(len(images), MAX_ROWS if self.serving else None)
            answers = answer_rows(self.recogniser, images, query, self.version)
        except QueryError as error:
            raise Refused(str(error)) from None
        if self.serving:
            return answers  # a frame would be made only to be taken apart: a tenth of a request
        frame = pd.DataFrame(answers, dtype=object)
        if query.on_error == "row":  # what a row lacks is None; JSON has no NaN
            frame = frame.where(frame.notna(), None)
        return frame


def _version(model: Path) -> str:
    """Returns the number in the registry, or the model's own name if it was fetched by that.

    MLflow writes the number beside a model that it fetches by it.
    """
    for name, key in (("registered_model_meta", "model_version"), ("MLmodel", "model_id")):
        if (model / name).exists():
            return str(yaml.safe_load((model / name).read_text())[key])
    return ""


mlflow.models.set_model(Served())
