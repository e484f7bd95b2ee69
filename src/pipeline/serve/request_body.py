"""Receives the body of a request within limits, for the server and the page alike."""

import asyncio
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive


async def receive_body(request: Request, file: BinaryIO, most: int, seconds: float) -> None:
    """Writes the body of a request to a file, never more of it than is allowed.

    Args:
        request: The request.
        file: Is open for writing.
        most: Bytes that the body may have.
        seconds: In which it must arrive.

    Raises:
        HTTPException: It is too large (413), or did not arrive in time (408).
        ClientDisconnect: It did not come to its end.
    """
    too_large = HTTPException(413, f"the body has over {most:,} bytes")
    if int(request.headers.get("content-length", "0")) > most:
        raise too_large
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                file.write(part)
                if file.tell() > most:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"the body did not arrive within {seconds:g} s") from None


def replay(body: bytes, receive: Receive) -> Receive:
    """Lets an application receive a body that was received before.

    Args:
        body: All of it.
        receive: What it was received with; it tells of the connection's end.
    """
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replayed() -> Message:
        return next(messages, None) or await receive()

    return replayed
