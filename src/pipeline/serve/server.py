"""`animal serve`: a recogniser behind HTTP, for others to reach.

It takes MLflow's batches (`/invocations`), so that a client of `mlflow models serve` needs no
change, and photos as they are (`/predict`).
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

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
    model = InstrumentedModel(recogniser, version, registry, log or RequestLog())
    threads = ThreadPoolExecutor(os.cpu_count())  # more at a time would slow each other down
    app = FastAPI(title="animal", description="Which animal a photo shows.", version=version)
    for kind in (HTTPException, QueryError):
        app.add_exception_handler(kind, _refused)
    app.include_router(prediction_routes(model, threads))
    app.include_router(health_routes(model, threads, registry))
    return RequestGuard(app, app.openapi()["paths"], registry, limits or Limits())


def prediction_routes(model: InstrumentedModel, threads: ThreadPoolExecutor) -> APIRouter:
    """Builds the routes that answer photos: /invocations and /predict."""
    routes = APIRouter()

    @routes.post(
        "/invocations",
        responses={200: {"model": schemas.Answers}} | schemas.REFUSED,
        openapi_extra=schemas.BATCH,
    )
    async def invocations(request: Request) -> Response:
        """Answers a batch, as MLflow's scoring server does."""
        body, kind = await request.body(), request.headers.get("content-type", "")

        def answer() -> list[dict]:
            batch = request_format.parse(body, kind)
            return model.predict(batch.images, batch.params)

        rows = await asyncio.get_running_loop().run_in_executor(threads, answer)
        return JSONResponse({"predictions": rows})

    @routes.post(
        "/predict",
        responses={200: {"model": schemas.Answer}} | schemas.REFUSED,
        openapi_extra=schemas.UPLOAD,
    )
    async def predict(
        request: Request,
        boxes: Annotated[
            list[float], Query(default_factory=list, description="x, y, width, height")
        ],
        top_k: Annotated[int, Query(ge=1, le=1000)] = 3,
        threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
        explain: bool = False,
    ) -> Response:
        """Answers one photo: the body, or the field `photo` of a form."""
        try:
            photo = await read_photo(request)
        except (FormParserError, HTTPException) as error:
            return refusal(400, f"the form cannot be read: {error}")
        if photo is None:
            sentence = "send a photo as image/* or application/octet-stream, or as field `photo`"
            return refusal(415, f"{sentence} of a multipart form")
        params = {"top_k": top_k, "explain": explain, "boxes": boxes}
        params |= {} if threshold is None else {"threshold": threshold}
        loop = asyncio.get_running_loop()
        (answer,) = await loop.run_in_executor(threads, model.predict, [photo], params)
        return JSONResponse(answer)

    return routes


def health_routes(
    model: InstrumentedModel,
    threads: ThreadPoolExecutor,
    registry: prometheus_client.CollectorRegistry,
) -> APIRouter:
    """Builds the routes about the server itself: /ping, /health, /ready, /version, /metrics."""
    routes = APIRouter()

    @routes.get("/ping", response_class=PlainTextResponse)
    @routes.get("/health", response_class=PlainTextResponse)
    async def health() -> str:
        """Says that the server is up."""
        return "\n"

    @routes.get("/version", response_class=PlainTextResponse)
    async def version() -> str:
        """Names the version that is served."""
        return model.version

    @routes.get("/ready", response_class=PlainTextResponse, responses=schemas.NOT_READY)
    async def ready() -> Response:
        """Says whether a photo is answered now."""
        try:
            await asyncio.get_running_loop().run_in_executor(threads, model.require_ready)
        except Exception as error:
            return refusal(503, f"it does not answer: {error}")
        return PlainTextResponse("\n")

    @routes.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts for Prometheus."""
        text = prometheus_client.generate_latest(registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    return routes


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return refusal(error.status_code, error.detail, error.headers)
    return refusal(400, str(error))


async def read_photo(request: Request) -> bytes | None:
    """Returns the photo in a request; None if there is none."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return await request.body()
    if kind == "multipart/form-data":
        async with request.form(max_files=10, max_fields=10) as form:
            photo = form.get("photo")
            return await photo.read() if isinstance(photo, UploadFile) else None
    return None
