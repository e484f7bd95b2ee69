"""MLflow's scoring server, and around it what a server that others can reach needs.

A program of its own, which `animal serve` starts: what it uses of `pipeline` it imports after the
model is loaded, and so gets the copies that the model carries.
"""

import argparse
import asyncio
import hmac
import json
import logging
import os
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import mlflow
import pandas as pd
import prometheus_client
import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from python_multipart.exceptions import FormParserError
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

MEGABYTES = 64  # of a body
SECONDS = 30  # for a body to arrive in
OPEN = ("/health", "/ready", "/ping")  # paths that need no token
CLOSE = {"Connection": "close"}  # what is left of the body is not read

_PHOTO = {"schema": {"type": "string", "format": "binary"}}
_LIKELY = {"type": "object", "required": ["species", "probability"]}
_ANSWER = {
    "type": "object",
    "required": ["species", "probability", "top", "unknown", "prediction_set", "version"],
    "properties": {
        "species": {"type": "string"},
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "top": {"type": "array", "items": _LIKELY},
        "unknown": {"type": "boolean"},
        "prediction_set": {"type": "array", "items": {"type": "string"}},
        "version": {"type": "string"},
        "cut_short": {"type": "boolean", "description": "true where the file ends too early"},
        "explanation": {"type": "string", "description": "a PNG in base64"},
    },
}
_SENTENCE = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error_code", "message"],
            "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
        }
    }
}
_REFUSED = {
    400: {"description": "It cannot be read", "content": _SENTENCE},
    401: {"description": "The token is missing or wrong", "content": _SENTENCE},
    408: {"description": "The body did not arrive in time", "content": _SENTENCE},
    413: {"description": "The body is too large", "content": _SENTENCE},
    415: {"description": "Another kind of body is wanted"},
}
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": _PHOTO,
            "application/octet-stream": _PHOTO,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["photo"],
                    "properties": {"photo": _PHOTO["schema"]},
                }
            },
        },
    }
}
_ROWS = {
    "type": "object",
    "required": ["dataframe_split"],
    "properties": {
        "dataframe_split": {
            "type": "object",
            "required": ["columns", "data"],
            "properties": {
                "columns": {"type": "array", "items": {"const": "image"}, "minItems": 1},
                "data": {
                    "type": "array",
                    "items": {
                        "type": "array",
                        "items": {"type": "string", "contentEncoding": "base64"},
                    },
                },
            },
        },
        "params": {
            "type": "object",
            "properties": {
                "top_k": {"type": "integer", "minimum": 1},
                "threshold": {"type": "number", "minimum": 0, "maximum": 1},
                "explain": {"type": "boolean"},
                "on_error": {"enum": ["fail", "row"]},
            },
        },
    },
}


class Watched:
    """A loaded model that counts its answers and, if asked, logs and keeps what it is asked about.

    Args:
        model: As `mlflow.pyfunc.load_model` gives it.
        registry: Where the counts go.
        log: File to add a line of JSON a photo to; photos are not in it. Defaults to None: no log.
        keep: Folder to keep answered photos in, named by their sha256. Defaults to None: nowhere.
    """

    def __init__(
        self,
        model: Any,
        registry: prometheus_client.CollectorRegistry,
        log: Path | None = None,
        keep: Path | None = None,
    ):
        self.metadata = model.metadata
        self._model, self._log, self._keep = model, log, keep
        self._writing = threading.Lock()
        self._answers = prometheus_client.Counter(
            "animal_answers", "Photos answered", ["species", "unknown"], registry=registry
        )

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        started = time.perf_counter()
        try:
            rows = self._model.predict(data, params=params)
        except MlflowException as error:
            self._write([self._line({}, error.get_http_status_code(), started)])
            raise
        for row in rows:
            if row.get("species") is not None:
                self._answers.labels(row["species"], str(row["unknown"]).lower()).inc()
        lines = [self._line(row, 200, started) for row in rows]
        if self._log or self._keep:
            for line, image in zip(lines, data["image"], strict=True):
                if line["species"] is not None:
                    line |= self._look(image)
        self._write(lines)
        return rows

    @staticmethod
    def _line(row: dict[str, Any], status: int, started: float) -> dict[str, Any]:
        said = ("version", "species", "probability", "unknown")
        seen = ("photo", "width", "height", "brightness", "sharpness")
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            **{name: row.get(name) for name in said},
            **dict.fromkeys(seen),
            "milliseconds": round((time.perf_counter() - started) * 1e3, 1),
            "status": status,
        }

    def _look(self, image: Any) -> dict[str, Any]:
        from pipeline.inference import decoding
        from pipeline.inference.recogniser import bytes_of

        recogniser, data = self._model.unwrap_python_model().recogniser, bytes_of(image)
        photo = decoding.identity(data)
        if self._keep:
            self._keep_photo(photo, data)
        width, height, *_ = decoding.inspect(data, recogniser.max_pixels)
        seen = {"photo": photo, "width": width, "height": height}
        return seen | decoding.light(recogniser.picture(data))

    def _keep_photo(self, photo: str, data: bytes) -> None:
        target = self._keep / photo
        if not os.path.lexists(target):
            partial = self._keep / f".{photo}.{threading.get_ident()}.partial"
            partial.write_bytes(data)
            partial.replace(target)

    def _write(self, lines: list[dict[str, Any]]) -> None:
        if self._log:
            text = "".join(json.dumps(line) + "\n" for line in lines)
            with self._writing, self._log.open("a", encoding="utf-8") as file:
                file.write(text)


class Door:
    """The ASGI application in front of all: token, size, time, counts.

    A body is read to its end before anything works on it, so a client that sends slowly, too much
    or not to the end costs a connection and no more.

    Args:
        app: What answers.
        registry: Where the counts go.
        token: What `Authorization: Bearer` must carry. Defaults to None: nothing.
        megabytes: Of a body; more is refused with status 413. Defaults to 64.
        seconds: For a body to arrive in; longer is refused with status 408. Defaults to 30.
    """

    def __init__(
        self,
        app: FastAPI,
        registry: prometheus_client.CollectorRegistry,
        token: str | None = None,
        megabytes: float = MEGABYTES,
        seconds: float = SECONDS,
    ):
        self._app, self._token, self._seconds = app, token, seconds
        self._most = int(megabytes * 2**20)
        self._requests = prometheus_client.Counter(
            "animal_requests", "Requests answered", ["path", "status"], registry=registry
        )
        self._times = prometheus_client.Histogram(
            "animal_seconds",
            "From a request's last byte to its answer",
            ["path"],
            registry=registry,
        )
        self._paths = {route.path for route in app.routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            from pipeline.inference.scoring_hooks import Desk

            asyncio.get_running_loop().set_default_executor(Desk())
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"] if scope["path"] in self._paths else "other"
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.labels(path, message["status"]).inc()
                self._times.labels(path).observe(time.perf_counter() - started)
            await send(message)

        headers = Headers(scope=scope)
        if not self._allowed(scope["path"], headers):
            asked = {"WWW-Authenticate": "Bearer"}
            return await refusal(401, "the token is missing or wrong", asked)(
                scope, receive, counted
            )
        try:
            body = await asyncio.wait_for(self._body(headers, receive), self._seconds)
        except ClientDisconnect:
            return None
        except TimeoutError:
            late = refusal(408, f"the body did not arrive within {self._seconds:g} s", CLOSE)
            return await late(scope, receive, counted)
        if body is None:
            large = refusal(413, f"the body has over {self._most:,} bytes", CLOSE)
            return await large(scope, receive, counted)
        started = time.perf_counter()
        whole = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replayed() -> Message:
            return next(whole, None) or await receive()

        await self._app(scope, replayed, counted)
        return None

    def _allowed(self, path: str, headers: Headers) -> bool:
        if self._token is None or path in OPEN:
            return True
        given = headers.get("authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {self._token}".encode())

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """The whole body; None if it is too large. Raises `ClientDisconnect`."""
        if int(headers.get("content-length", "0")) > self._most:
            return None
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._most:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer in the form that MLflow's own errors have."""
    codes = {400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED"}
    content = {"error_code": codes.get(status, "BAD_REQUEST"), "message": sentence}
    return JSONResponse(content, status, headers)


def build(
    model: Any,
    token: str | None = None,
    megabytes: float = MEGABYTES,
    seconds: float = SECONDS,
    log: Path | None = None,
    keep: Path | None = None,
) -> Door:
    """MLflow's application, with what `Watched` and `Door` add, and the paths

    - POST /predict: a photo as the body, or as the field `photo` of a form,
    - GET /ready: whether a photo is answered (/health only says that the server is up),
    - GET /metrics: counts for Prometheus.
    """
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.ProcessCollector(registry=registry)
    watched = Watched(model, registry, log, keep)
    app = scoring_server.init(watched)
    app.title, app.description = "animal", "Which animal a photo shows."
    app.version = str(model.metadata.model_uuid)
    for route in app.routes:
        if route.path == "/invocations":
            route.openapi_extra = {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _ROWS}},
                }
            }
            route.responses = _REFUSED

    answered = {200: {"content": {"application/json": {"schema": _ANSWER}}}}

    @app.post("/predict", responses=answered | _REFUSED, openapi_extra=_UPLOAD)
    async def predict(
        request: Request,
        top_k: Annotated[int, Query(ge=1, le=1000)] = 3,
        threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
        explain: bool = False,
    ) -> Response:
        """What a photo shows."""
        try:
            photo = await _photo(request)
        except (FormParserError, HTTPException) as error:
            return refusal(400, f"the form cannot be read: {error}")
        if photo is None:
            sentence = "send a photo as image/* or application/octet-stream, or as field `photo`"
            return refusal(415, f"{sentence} of a multipart form")
        params = {"top_k": top_k, "explain": explain}
        if threshold is not None:
            params["threshold"] = threshold
        rows = pd.DataFrame({"image": [photo]})
        try:
            answers = await asyncio.to_thread(watched.predict, rows, params)
        except MlflowException as error:
            return refusal(error.get_http_status_code(), error.message)
        return JSONResponse(answers[0])

    @app.get("/ready", responses={503: {"description": "It does not answer"}})
    async def ready() -> Response:
        """Whether a photo is answered now."""
        try:
            await asyncio.to_thread(model.predict, model.input_example)
        except Exception as error:
            return refusal(503, f"it does not answer: {error}")
        return Response("\n", media_type="application/json")

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts for Prometheus."""
        text = prometheus_client.generate_latest(registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    return Door(app, registry, token, megabytes, seconds)


async def _photo(request: Request) -> bytes | None:
    """The photo in a request; None if there is none."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return await request.body()
    if kind == "multipart/form-data":
        async with request.form(max_files=10, max_fields=10) as form:
            photo = form.get("photo")
            return await photo.read() if isinstance(photo, UploadFile) else None
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--megabytes", type=float)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--keep-photos", type=Path)
    arguments = parser.parse_args()
    for folder in (arguments.keep_photos, arguments.log and arguments.log.parent):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    try:
        model = mlflow.pyfunc.load_model(arguments.model)
    except Exception as error:  # MLflow, the network and the check of the files raise many kinds
        sys.exit(f"error: {arguments.model} cannot be served: {error}")
    app = build(
        model,
        os.environ.get("ANIMAL_TOKEN") or None,
        arguments.megabytes,
        log=arguments.log,
        keep=arguments.keep_photos,
    )
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    uvicorn.run(app, host=arguments.host, port=arguments.port, access_log=False)


if __name__ == "__main__":
    main()
