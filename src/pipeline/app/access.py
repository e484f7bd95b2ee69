"""Decides which requests reach the page's server, and what a browser may do with its answers.

docs/app.md lists the attacks that this stops.
"""

import io
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse, RedirectResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.app.rate_limit import RateLimit
from pipeline.app.sign_in import SignIn
from pipeline.serve.request_body import receive_body, replay

_OPEN = ("/", "/health", "/sw.js", "/api/sign-in")  # need no token; all others but `/static/` do
_READING = ("GET", "HEAD")
# Their routes receive a photo or an archive themselves, within limits of their own.
_UPLOADS = ("/api/answer", "/api/heat", "/api/unpack", "/api/feedback")
# Bytes of JSON, which takes several times as many when it is parsed. A row of a table has some 550
# with two species and 1,570 with twenty, so that 40,000 photos fit.
_MAX_JSON = 2 << 20
_MAX_JSON_OF = {"/api/sign-in": 16 << 10, "/api/table": 64 << 20}
_SECONDS = 60.0  # for it to arrive in
_CLOSE = {"Connection": "close"}  # what is left of the body is not read
# Scripts, styles and all else come from here alone, and none of it stands in the page itself.
# wasm-unsafe-eval lets WebAssembly run, and no text.
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Access:
    """Limits on who may use the app, and how much.

    Attributes:
        token: Must be known to use the app. Defaults to None: nothing must.
        hosts: Names besides `localhost` under which the app is reached, such as those of a proxy.
        root_path: Below which a proxy shows the app, such as `/animals`. Defaults to none.
        per_second: Requests with a body that an address may send in the long run. Defaults to 20,
            which is more than two cores answer.
        burst: Of them at once. Defaults to 200.
    """

    token: str | None = None
    hosts: Collection[str] = ()
    root_path: str = ""
    per_second: float = 20
    burst: float = 200


class AccessGuard:
    """ASGI middleware that refuses what `Access` does not allow.

    Args:
        app: What answers.
        access: What is allowed.

    Attributes:
        sign_in: Knows who has the token.
    """

    def __init__(self, app: ASGIApp, access: Access):
        self._app, self._access, self.sign_in = app, access, SignIn(access.token)
        self._hosts = {name.lower() for name in access.hosts}
        self._rate = RateLimit(access.per_second, access.burst)
        self._guesses = RateLimit(per_second=1 / 6, burst=10)  # of the token: ten a minute

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None  # the page opens no web sockets
        # A proxy may strip the path that it shows the app below, or not.
        below = self._access.root_path
        if below and scope["path"] == below:  # the page's addresses are relative to the slash
            return await RedirectResponse(f"{below}/")(scope, receive, send)
        if below and scope["path"].startswith(f"{below}/"):
            scope = scope | {"path": scope["path"][len(below) :], "raw_path": b""}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(HTTPConnection(scope)) or self._let_app_answer
        return await answer(scope, receive, with_headers)

    async def _let_app_answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the app answer, once a body that it may parse is here and not too large."""
        if scope["method"] in _READING or scope["path"] in _UPLOADS:
            return await self._app(scope, receive, send)
        body, most = io.BytesIO(), _MAX_JSON_OF.get(scope["path"], _MAX_JSON)
        try:
            await receive_body(Request(scope, receive), body, most, _SECONDS)
        except HTTPException as error:
            return await refuse(error.status_code, error.detail, _CLOSE)(scope, receive, send)
        except ClientDisconnect:
            return None
        return await self._app(scope, replay(body.getvalue(), receive), send)

    def _refusal(self, request: HTTPConnection) -> JSONResponse | None:
        """Returns what a request is refused with; None if it is not."""
        headers, path = request.headers, request.scope["path"]
        reads = request.scope["method"] in _READING
        if not self._is_ours(headers.get("host", "")):
            # By DNS rebinding a foreign page reaches this machine under its own name.
            return refuse(421, "this app is not reached under that name; see --allow-host")
        if not reads and not self._is_same_origin(headers):
            return refuse(403, "only this app's own page may send that")
        if not reads and (wait := self._rate.seconds_to_wait(_address(request))):
            return too_many(wait)
        if path in _OPEN or path.startswith("/static/"):
            return None
        if self.sign_in.knows(request):
            return None
        if "authorization" in headers and (wait := self.wait_to_guess(request)):
            return too_many(wait)
        return refuse(401, "sign in with the token first")

    def wait_to_guess(self, request: HTTPConnection) -> float:
        """Counts a wrong token; returns the seconds until the next may be sent, 0 for at once."""
        return self._guesses.seconds_to_wait(_address(request))

    def _is_ours(self, host: str) -> bool:
        """Returns whether a Host header is an IP address (no name to rebind) or this app's name."""
        name = _hostname(host)
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name == "localhost" or name in self._hosts
        return True

    def _is_same_origin(self, headers: Headers) -> bool:
        """Returns whether a request comes from the app's own page, or from no page at all."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True  # curl and scripts; every browser sends it with what is not GET or HEAD
        authority = urlsplit(origin).netloc.lower()
        # A proxy may send another Host than the browser did.
        return authority == headers["host"].lower() or _hostname(authority) in self._hosts


def _address(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""


def refuse(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Builds a response that refuses a request, for the reason in the sentence."""
    return JSONResponse({"message": sentence}, status, headers)


def too_many(seconds: float) -> JSONResponse:
    """Builds the response to a client that sends too much; it may go on after `seconds`."""
    wait = max(1, round(seconds + 0.5))
    return refuse(429, f"too many requests; try again in {wait} s", {"Retry-After": str(wait)})


def _hostname(authority: str) -> str | None:
    """Returns the name or address in `name:port`, without brackets; None where there is none."""
    try:
        return urlsplit(f"//{authority}").hostname
    except ValueError:
        return None
