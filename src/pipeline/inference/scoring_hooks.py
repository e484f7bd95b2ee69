"""Where MLflow's scoring server takes its requests and works its answers out, while a model of ours
is served by it.

Nothing of the project is imported: a served model carries this file along.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mlflow.environment_variables import MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST = 500  # characters of an error's message
_SERVER = "mlflow.pyfunc.scoring_server.app"
_JSON = (b"content-type", b"application/json")
_LATE = b'{"error_code": "BAD_REQUEST", "message": "the body did not arrive in time"}'


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


class Counter:
    """ASGI middleware in front of MLflow's application: the request that is asked all day, one
    photo in JSON without params, goes straight to the desk.

    MLflow's way there costs a quarter of what the network does: two frames, three looks at
    signatures, and four streams between tasks. Whatever is not exactly this request, and whatever
    fails, still takes it, and so gets MLflow's answer. A body that is late is refused with status
    408; MLflow's 504 would blame the server.

    Args:
        app: What answers all else.
        answer: Gives the answer to a photo in base64.
    """

    def __init__(self, app: "ASGIApp", answer: Callable[[str], dict[str, Any]]):
        self._app, self._answer = app, answer
        self._seconds = MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT.get()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        asked = scope["type"], scope.get("method"), scope.get("path")
        if asked != ("http", "POST", "/invocations") or _JSON not in scope["headers"]:
            return await self._app(scope, receive, send)
        try:
            async with asyncio.timeout(self._seconds):
                messages = [await receive()]
                while messages[-1].get("more_body", False):
                    messages.append(await receive())
        except TimeoutError:
            return await _reply(send, 408, _LATE, (b"connection", b"close"))
        body = b"".join(message.get("body", b"") for message in messages)
        answer = await asyncio.get_running_loop().run_in_executor(None, self._at_once, body)
        if answer is not None:
            return await _reply(send, 200, answer)
        replayed = iter(messages)

        async def again() -> "Message":
            return next(replayed, None) or await receive()

        return await self._app(scope, again, send)

    def _at_once(self, body: bytes) -> bytes | None:
        """The whole answer, to the byte what MLflow would write; None if MLflow is to answer."""
        try:
            asked = json.loads(body)
            image = asked["dataframe_split"]["data"][0][0]
            if asked != {"dataframe_split": {"columns": ["image"], "data": [[image]]}}:
                return None
            return json.dumps({"predictions": [self._answer(image)]}).encode()
        except Exception:  # MLflow's way finds the same and says what it is
            return None


async def _reply(send: "Send", status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send(
        {"type": "http.response.start", "status": status, "headers": [length, _JSON, *headers]}
    )
    await send({"type": "http.response.body", "body": body})


def open_in_server(answer: Callable[[str], dict[str, Any]]) -> None:
    """Opens a desk with a counter, if it is MLflow's scoring server that loads the model.

    The server hands every request to the event loop's default executor; to set that is asyncio's
    own way of saying how such work is done. The loop may not run yet while the model is loaded; the
    first thing that uvicorn does in it is to log that it has started.

    Args:
        answer: As in `Counter`.
    """

    def opened() -> bool:
        try:  # as soon as the application is there, and before it starts
            asyncio.get_running_loop().call_soon(_open, answer)
        except RuntimeError:
            return False
        return True

    if _SERVER in sys.modules and not opened():
        logging.getLogger("uvicorn.error").addFilter(_Start(opened))


class _Start(logging.Filter):
    """Lets every record pass, and opens the desk at the first that comes from a running loop."""

    def __init__(self, opened: Callable[[], bool]):
        super().__init__()
        self._opened, self._waiting = opened, True

    def filter(self, record: logging.LogRecord) -> bool:
        if self._waiting:
            self._waiting = not self._opened()
        return True


def _open(answer: Callable[[str], dict[str, Any]]) -> None:
    asyncio.get_running_loop().set_default_executor(Desk())
    sys.modules[_SERVER].app.add_middleware(Counter, answer=answer)


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
