"""Where MLflow's scoring server works its answers out, while a model of ours is served by it.

Nothing of the project is imported: a served model carries this file along.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

MOST = 500  # characters of an error's message


class Desk(ThreadPoolExecutor):
    """Answers requests first come, first served, as many at a time as there are cores.

    More at a time would slow each other down, and some would wait long for luck. An error that
    MLflow does not expect while it reads a body, as with one nested a thousand deep, is the
    sender's and becomes a status 400; and no error sends the body or a traceback back.
    """

    def __init__(self) -> None:
        super().__init__(os.cpu_count())

    def submit(self, function: Callable, /, *args: Any, **kwargs: Any) -> Future:
        return super().submit(_answered, function, *args, **kwargs)


def open_in_server() -> None:
    """Puts a desk into the event loop, if it is MLflow's scoring server that loads the model.

    The server hands every request to the loop's default executor; to set that is asyncio's own
    way of saying how such work is done. The loop may not run yet while the model is loaded; the
    first thing that uvicorn does in it is to log that it has started.
    """
    if "mlflow.pyfunc.scoring_server.app" in sys.modules and not _set():
        logging.getLogger("uvicorn.error").addFilter(_Start())


class _Start(logging.Filter):
    """Lets every record pass, and opens the desk at the first that comes from a running loop."""

    waiting = True

    def filter(self, record: logging.LogRecord) -> bool:
        if self.waiting:
            self.waiting = not _set()
        return True


def _set() -> bool:
    try:
        asyncio.get_running_loop().set_default_executor(Desk())
    except RuntimeError:
        return False
    return True


def _answered(function: Callable, *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except MlflowException as error:
        error.json_kwargs = {}
        if len(error.message) > MOST:
            error.message = error.message[:MOST] + " ..."
        raise
    except Exception as error:
        said = f"the request cannot be read: {type(error).__name__}: {error}"
        raise MlflowException(said[:MOST], BAD_REQUEST) from None
