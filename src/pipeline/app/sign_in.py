"""Lets in whoever knows the token.

A browser sends the token once and gets a cookie; a script sends it with every request.
"""

import hashlib
import hmac

from starlette.requests import HTTPConnection
from starlette.responses import Response

_COOKIE = "animal"
_DAYS = 30


class SignIn:
    """Knows the token.

    Args:
        token: What must be sent. None: everybody is let in.
    """

    def __init__(self, token: str | None):
        self._token = token
        # What the cookie holds does not tell the token, and stays valid when the app is restarted.
        key = (token or "").encode()
        self._session = hmac.new(key, b"animal app", hashlib.sha256).hexdigest()

    def knows(self, request: HTTPConnection) -> bool:
        """Returns whether a request carries the token or the cookie."""
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        return _same(request.cookies.get(_COOKIE, ""), self._session)

    def is_token(self, given: str) -> bool:
        """Returns whether a text is the token, in a time that does not show how much is right."""
        return self._token is not None and _same(given, self._token)

    def remember(self, response: Response, path: str, secure: bool) -> None:
        """Adds the cookie to a response.

        Args:
            response: To the request that brought the token.
            path: Below which the app answers.
            secure: Whether the request came by https.
        """
        response.set_cookie(
            _COOKIE,
            self._session,
            max_age=_DAYS * 24 * 3600,
            path=path,
            secure=secure,
            httponly=True,
            samesite="strict",
        )


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
