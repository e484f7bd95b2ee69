"""Routes that answer photos. No photo is stored."""

import asyncio
import base64
import io
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from PIL import Image
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.exceptions import HTTPException

from pipeline.app import uploads
from pipeline.app.access import too_many
from pipeline.app.champion import Champion, Model
from pipeline.predict import batch
from pipeline.predict.events import Events
from pipeline.predict.formats import tables
from pipeline.serve.request_body import receive_body

MAX_WAITING = 32  # photos in memory; each has up to 64 MB, and the page sends a few at a time
MAX_ROWS = 100_000  # of a table
_FILE_NAME = "attachment; filename=predictions.csv"


def require_model(champion: Champion) -> Model:
    """Returns the recogniser that answers.

    Args:
        champion: Has the recogniser.

    Raises:
        HTTPException: There is none yet (503).
    """
    if champion.model is None:
        if champion.problem:
            raise HTTPException(503, champion.problem)
        raise HTTPException(503, "the recogniser is being loaded", {"Retry-After": "1"})
    return champion.model


def routes(champion: Champion, in_field: bool = False) -> APIRouter:
    """Builds the routes: /api/model, /api/answer, /api/heat, /api/unpack and /api/table.

    Args:
        champion: Has the recogniser.
        in_field: Whether browsers may store it, to answer photos without a network.
    """
    router = APIRouter(prefix="/api")
    threads, room = ThreadPoolExecutor(os.cpu_count()), asyncio.Semaphore(MAX_WAITING)

    async def answered(request: Request, path: str, answer: Callable) -> Response:
        """Answers the photo in a request; refuses it with status 429 if too many wait."""
        if room.locked():
            return too_many(1)
        async with room:
            model, data = require_model(champion), await uploads.photo(request)
            work = partial(answer, model, uploads.name(path), data)
            return JSONResponse(await asyncio.get_running_loop().run_in_executor(threads, work))

    @router.get("/model")
    async def model() -> dict[str, Any]:
        """Describes the recogniser; without one, `problem` and `none_yet` say why."""
        described = champion.model.describe() if champion.model else {"version": None}
        about = {"problem": champion.problem, "none_yet": champion.none_yet, "field": in_field}
        return described | about

    @router.post("/answer")
    async def answer(request: Request, path: Annotated[str, Query(max_length=4000)]) -> Response:
        """Answers a photo, as a row of `animal predict`, with a small picture of it."""
        return await answered(request, path, _answer)

    @router.post("/heat")
    async def heat(request: Request) -> Response:
        """Shows where in a photo the recogniser sees what it answers."""
        return await answered(request, "photo", _heat)

    @router.post("/unpack")
    async def unpack(request: Request) -> Response:
        """Sends the photos of a zip or tar back, one after the other."""
        with tempfile.NamedTemporaryFile() as file:
            await receive_body(request, file, uploads.MAX_ARCHIVE, uploads.SECONDS_OF_ARCHIVE)
            file.flush()
            photos = uploads.unpack(Path(file.name))
            await run_in_threadpool(next, photos)
        kind = "application/octet-stream"
        return StreamingResponse(iterate_in_threadpool(photos), media_type=kind)

    @router.post("/table")
    def table(rows: Annotated[list[dict], Body(max_length=MAX_ROWS)]) -> Response:
        """Writes answers as the CSV that `animal predict` writes."""
        model = require_model(champion)
        try:
            content = _table(model, rows)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise HTTPException(400, "these are no answers of this app") from None
        headers = {"Content-Disposition": _FILE_NAME}
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)

    return router


def _answer(model: Model, path: str, data: bytes) -> dict[str, Any]:
    """Returns `answer`, the row of `animal predict`; `version`; and `picture`, a JPEG in base64."""
    row = batch.answer_photo(model.recogniser, path, lambda: data)
    picture = None if row["error"] else _jpeg(model, data)
    return {"answer": row, "version": model.version, "picture": picture}


def _heat(model: Model, path: str, data: bytes) -> dict[str, Any]:
    """Returns `heat`, a PNG in base64 to lay over the square that the recogniser saw."""
    answer = model.recogniser.answer(data, explained=True)
    return {"heat": answer["explanation"], "species": answer["species"], "version": model.version}


def _jpeg(model: Model, data: bytes) -> str:
    """Returns what the recogniser saw, whatever format the photo has."""
    file = io.BytesIO()
    Image.fromarray(model.recogniser.picture(data)).save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()


def _table(model: Model, rows: list[dict[str, Any]]) -> bytes:
    labels = model.recogniser.labels
    events = Events(labels, model.recogniser.pooling, top=batch.TOP)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "predictions.csv")
        tables.csv(events.beside(rows), labels, path)
        return path.read_bytes()
