"""`animal serve`: a recogniser behind HTTP, for others to reach.

It takes MLflow's batches (`/invocations`), so that a client of `mlflow models serve` needs no
change, and photos as they are (`/predict`).
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, TypeVar

import prometheus_client
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from pipeline.inference.query import QueryError
from pipeline.inference.recogniser import Recogniser
from pipeline.serve import request_format, schemas
from pipeline.serve.instrumented_model import InstrumentedModel
from pipeline.serve.request_guard import Limits, RequestGuard, refusal
from pipeline.serve.request_log import RequestLog

T = TypeVar("T")
router = APIRouter()


def build(
    recogniser: Recogniser,
    version: str,
    limits: Limits | None = None,
    log: RequestLog | None = None,
) -> RequestGuard:
    """Builds the application.

    Args:
        recogniser: Answers.
        version: Named in each answer.
        limits: What a request may cost. Defaults to those of `Limits`.
        log: What is written of each photo. Defaults to nothing.
    """
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.ProcessCollector(registry=registry)
    app = FastAPI(title="animal", description="Which animal a photo shows.", version=version)
    app.state.model = InstrumentedModel(recogniser, version, registry, log or RequestLog())
    app.state.registry = registry
    app.state.threads = ThreadPoolExecutor(os.cpu_count())  # more would slow each other down
    for kind in (HTTPException, QueryError):
        app.add_exception_handler(kind, _refused)
    app.include_router(router)
    return RequestGuard(app, app.openapi()["paths"], registry, limits or Limits())


@router.post(
    "/invocations",
    responses={200: {"model": schemas.Answers}} | schemas.REFUSED,
    openapi_extra=schemas.BATCH,
)
async def invocations(request: Request) -> Response:
    """Answers a batch, as MLflow's scoring server does."""
    body, kind = await request.body(), request.headers.get("content-type", "")

    def answer(model: InstrumentedModel) -> list[dict]:
        images, params = request_format.parse(body, kind)
        return model.predict(images, params)

    return JSONResponse({"predictions": await _computed(request, answer)})


@router.post(
    "/predict",
    responses={200: {"model": schemas.Answer}} | schemas.REFUSED,
    openapi_extra=schemas.UPLOAD,
)
async def predict(
    request: Request,
    boxes: Annotated[list[float], Query(default_factory=list, description="x, y, width, height")],
    top_k: Annotated[int, Query(ge=1, le=1000)] = 3,
    threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
    explain: bool = False,
) -> Response:
    """Answers one photo: the body, or the field `photo` of a form."""
    photo = await _photo(request)
    params = {"top_k": top_k, "threshold": threshold, "explain": explain, "boxes": boxes}
    (answer,) = await _computed(request, lambda model: model.predict([photo], params))
    return JSONResponse(answer)


@router.get("/ping", response_class=PlainTextResponse)
@router.get("/health", response_class=PlainTextResponse)
async def health() -> str:
    """Says that the server is up."""
    return "\n"


@router.get("/version", response_class=PlainTextResponse)
async def version(request: Request) -> str:
    """Names the version that is served."""
    return request.app.state.model.version


@router.get("/ready", response_class=PlainTextResponse, responses=schemas.NOT_READY)
async def ready(request: Request) -> Response:
    """Says whether a photo is answered now."""
    try:
        await _computed(request, InstrumentedModel.require_ready)
    except Exception as error:
        return refusal(503, f"it does not answer: {error}")
    return PlainTextResponse("\n")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Counts for Prometheus."""
    text = prometheus_client.generate_latest(request.app.state.registry)
    return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)


async def _computed(request: Request, function: Callable[[InstrumentedModel], T]) -> T:
    """Returns what a function of the model returns; threads call them first come, first served."""
    state, loop = request.app.state, asyncio.get_running_loop()
    return await loop.run_in_executor(state.threads, function, state.model)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return refusal(error.status_code, error.detail, error.headers)
    return refusal(400, str(error))


async def _photo(request: Request) -> bytes:
    """Returns the photo in a request. Raises HTTPException where there is none (400 or 415)."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return await request.body()
    if kind == "multipart/form-data":
        try:
            async with request.form(max_files=10, max_fields=10) as form:
                if isinstance(photo := form.get("photo"), UploadFile):
                    return await photo.read()
        except FormParserError as error:
            raise HTTPException(400, f"the form cannot be read: {error}") from None
    sentence = "send a photo as image/* or application/octet-stream, or as field `photo`"
    raise HTTPException(415, f"{sentence} of a multipart form")
