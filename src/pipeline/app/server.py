"""The server of `animal app`: a page of static files and what it asks for."""

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from pipeline.app import recognition, review, training
from pipeline.app.access import Access, AccessGuard, refuse, too_many
from pipeline.app.champion import Champion
from pipeline.app.sign_in import SignIn

STATIC = Path(__file__).parent / "static"
_FRESH = {"Cache-Control": "no-cache"}  # asked for again by its hash: a new release shows at once
# Some machines' own tables know these endings by other types, and browsers insist on them.
for _suffix, _type in ((".js", "text/javascript"), (".wasm", "application/wasm")):
    mimetypes.add_type(_type, _suffix)


class Token(BaseModel):
    """What a person signs in with."""

    token: str = Field(max_length=1000)


def build(
    champion: Champion,
    access: Access | None = None,
    feedback: Path | None = None,
    folders: Path | None = None,
) -> AccessGuard:
    """Builds the application.

    Args:
        champion: Has the recogniser; it begins to load when the application starts.
        access: Who may use it. Defaults to all that reach it.
        feedback: Where what people say of photos is kept. Defaults to None: it is not.
        folders: Below which collections to train on can be chosen. Defaults to None: nobody trains.
    """
    access = access or Access()
    sign_in = SignIn(access.token)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        champion.start()
        yield
        champion.stop()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    guard = AccessGuard(app, access, sign_in)
    app.add_exception_handler(HTTPException, _sentence)
    app.include_router(recognition.routes(champion))
    app.include_router(review.routes(feedback))
    if folders is not None:
        app.include_router(training.routes(Path(), folders))
        app.mount("/reports", training.Reports(directory="reports", html=True, check_dir=False))
    app.mount("/static", _Static(directory=STATIC))

    @app.get("/")
    async def page() -> Response:
        return FileResponse(STATIC / "index.html", headers=_FRESH)

    @app.get("/health")
    async def health() -> Response:
        return PlainTextResponse("\n")

    @app.post("/api/sign-in")
    async def enter(request: Request, given: Token) -> Response:
        if not sign_in.is_token(given.token):
            if wait := guard.wait_to_guess(request.scope):
                return too_many(wait)
            return refuse(401, "this is not the token")
        response = JSONResponse({})
        sign_in.remember(response, access.root_path or "/", request.url.scheme == "https")
        return response

    return guard


class _Static(StaticFiles):
    """Static files that a browser asks for again each time, and gets again only if they changed."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_FRESH)
        return response


async def _sentence(request: Request, error: HTTPException) -> Response:
    return refuse(error.status_code, str(error.detail))
