"""Checks token, size and time of each request before the application, and counts."""

import hmac
import io
import time
from collections.abc import Collection
from dataclasses import dataclass

import prometheus_client
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serve.request_body import receive_body, replay

OPEN = ("/health", "/ready", "/ping")  # paths that need no token
_CLOSE = {"Connection": "close"}  # what is left of the body is not read
_CODES = {400: "INVALID_PARAMETER_VALUE", 401: "UNAUTHENTICATED"}


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Builds a response in the form that MLflow's own errors have."""
    content = {"error_code": _CODES.get(status, "BAD_REQUEST"), "message": sentence}
    return JSONResponse(content, status, headers)


@dataclass(frozen=True)
class Limits:
    """Limits of a request before anything works on it.

    Attributes:
        token: What `Authorization: Bearer` must carry. Defaults to None: nothing.
        megabytes: Of a body; more is refused with status 413. Defaults to 64.
        seconds: For a body to arrive in; longer is refused with status 408. Defaults to 30.
    """

    token: str | None = None
    megabytes: float = 64
    seconds: float = 30


class RequestGuard:
    """ASGI middleware that refuses what `Limits` do not allow, and counts all.

    A body is read to its end before anything works on it, so a client that sends slowly, too much
    or not to the end costs a connection and no more.

    Args:
        app: What answers.
        paths: Those that are counted by name; all others are counted together.
        registry: Where the counts go.
        limits: What is allowed.
    """

    def __init__(
        self,
        app: ASGIApp,
        paths: Collection[str],
        registry: prometheus_client.CollectorRegistry,
        limits: Limits,
    ):
        self._app, self._paths, self._limits = app, paths, limits
        self._max_bytes = int(limits.megabytes * 2**20)
        self._requests = prometheus_client.Counter(
            "animal_requests", "Requests answered", ["path", "status"], registry=registry
        )
        self._seconds = prometheus_client.Histogram(
            "animal_seconds",
            "From a request's last byte to its answer",
            ["path"],
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets the app answer it, and counts both."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"] if scope["path"] in self._paths else "other"
        started = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.labels(path, message["status"]).inc()
                self._seconds.labels(path).observe(time.perf_counter() - started)
            await send(message)

        try:
            checked = await self._checked(scope, receive)
        except ClientDisconnect:
            return None
        started = time.perf_counter()
        if isinstance(checked, JSONResponse):
            return await checked(scope, receive, counted)
        return await self._app(scope, replay(checked, receive), counted)

    async def _checked(self, scope: Scope, receive: Receive) -> bytes | JSONResponse:
        """Returns the whole body, or the refusal. Raises `ClientDisconnect`."""
        request, body = Request(scope, receive), io.BytesIO()
        if not self._allowed(scope["path"], request.headers):
            wanted = {"WWW-Authenticate": "Bearer"}
            return refusal(401, "the token is missing or wrong", wanted)
        try:
            await receive_body(request, body, self._max_bytes, self._limits.seconds)
        except HTTPException as error:
            return refusal(error.status_code, error.detail, _CLOSE)
        return body.getvalue()

    def _allowed(self, path: str, headers: Headers) -> bool:
        if self._limits.token is None or path in OPEN:
            return True
        given = headers.get("authorization", "").encode()
        return hmac.compare_digest(given, f"Bearer {self._limits.token}".encode())
