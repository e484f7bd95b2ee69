"""Keeps malformed bodies from a status 5xx while MLflow's scoring server serves a model of ours.

MLflow reads a body in `mlflow.pyfunc.scoring_server.invocations`, and answers 500 to what raises
anything but an `MlflowException` there: JSON nested a thousand deep, a number of ten thousand
digits, a request without a content type. It documents no place to handle that, so the function is
wrapped. tests/inference/test_scoring_server.py fails if a later MLflow calls another one.
"""

import sys
from functools import wraps
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

MOST = 500  # characters of an error's message
_MODULE = "mlflow.pyfunc.scoring_server"


def is_loading() -> bool:
    """Tells whether MLflow's scoring server loads the model now."""
    return f"{_MODULE}.app" in sys.modules


def refuse_malformed_bodies() -> None:
    """Makes a body that MLflow cannot read the sender's mistake, status 400.

    No error sends the body or a traceback back. Does nothing a second time.
    """
    server = sys.modules[_MODULE]
    invocations = server.invocations
    if hasattr(invocations, "__wrapped__"):
        return

    @wraps(invocations)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return invocations(*args, **kwargs)
        except MlflowException as error:
            error.json_kwargs = {}  # the traceback
            if len(error.message) > MOST:
                error.message = error.message[:MOST] + " ..."
            raise
        except Exception as error:
            sentence = f"the request cannot be read: {type(error).__name__}: {error}"
            raise MlflowException(sentence[:MOST], BAD_REQUEST) from None

    server.invocations = guarded
