"""The server of `animal app`: a page of static files, and the routes it requests."""

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles

from pipeline.app import decisions, field, recognition, suspects, training
from pipeline.app.access import Access, AccessGuard, refuse, too_many
from pipeline.app.champion import Champion
from pipeline.core.errors import UserError
from pipeline.inference.decoding import PhotoError
from pipeline.sources.feedback import Feedback

STATIC = Path(__file__).parent / "static"
_FRESH = {"Cache-Control": "no-cache"}  # revalidated by its hash: a new release shows at once
# Some machines' own tables know these endings by other types, and browsers insist on them.
for _suffix, _type in ((".js", "text/javascript"), (".wasm", "application/wasm")):
    mimetypes.add_type(_type, _suffix)


def build(
    champion: Champion,
    access: Access | None = None,
    feedback: Path | None = None,
    folders: Path | None = None,
    runtime: Path | None = None,
) -> AccessGuard:
    """Builds the application.

    Args:
        champion: Has the recogniser; it begins to load when the application starts.
        access: Who may use it. Defaults to all that reach it.
        feedback: Stores people's decisions on photos. Defaults to None: nothing is stored.
        folders: Below which collections to train on can be chosen. Defaults to None: nobody trains.
        runtime: Folder of `web_runtime`, with which browsers answer photos by themselves. Defaults
            to None: they do not.
    """
    access = access or Access()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        champion.start()
        yield
        champion.stop()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    guard = AccessGuard(app, access)
    for kind in (HTTPException, UserError, PhotoError, ClientDisconnect):
        app.add_exception_handler(kind, _refused)
    app.include_router(recognition.routes(champion, runtime is not None))
    app.state.feedback, app.state.folders = feedback and Feedback(feedback), folders
    app.include_router(decisions.router)
    app.include_router(suspects.router)
    if folders is not None:
        app.include_router(training.router)
        app.mount("/reports", training.Reports(directory="reports", html=True, check_dir=False))
    if runtime is not None:
        app.include_router(_field_routes(champion))
        app.mount("/static/litert", _compressed(runtime))
    app.mount("/static", _compressed(STATIC))

    @app.get("/")
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers=_FRESH)

    @app.get("/health")
    async def health() -> Response:
        return PlainTextResponse("\n")

    @app.post("/api/sign-in")
    async def enter(
        request: Request, token: Annotated[str, Body(max_length=1000, embed=True)]
    ) -> Response:
        if not guard.sign_in.is_token(token):
            if wait := guard.wait_to_guess(request):
                return too_many(wait)
            return refuse(401, "this is not the token")
        response = JSONResponse({})
        guard.sign_in.remember(response, access.root_path or "/", request.url.scheme == "https")
        return response

    return guard


def _field_routes(champion: Champion) -> APIRouter:
    """Builds the routes of the files with which a browser answers photos without a network."""
    router = APIRouter()

    @router.get("/sw.js")
    async def worker() -> Response:
        return FileResponse(STATIC / "sw.js", headers=_FRESH)

    @router.get("/field/recogniser.json")
    def description() -> Response:
        return JSONResponse(field.describe(recognition.require_model(champion)), headers=_FRESH)

    @router.get("/field/model.tflite")
    def network() -> Response:
        path = recognition.require_model(champion).folder / field.NETWORK
        return FileResponse(path, media_type="application/octet-stream", headers=_FRESH)

    return router


class _Static(StaticFiles):
    """Static files that a browser revalidates each time, and gets again only if they changed."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_FRESH)
        return response


def _compressed(folder: Path) -> GZipMiddleware:
    """Serves static files compressed: LiteRT.js has 10 MB, and 3 MB so, which a phone notices."""
    return GZipMiddleware(_Static(directory=folder), compresslevel=6)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return refuse(error.status_code, str(error.detail), error.headers)
    return refuse(400, str(error))
