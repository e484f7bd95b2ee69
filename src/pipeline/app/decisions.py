"""Routes that store people's decisions on photos, where the person who runs the app wants that."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from pipeline.app import uploads
from pipeline.core import tracking
from pipeline.inference import decoding
from pipeline.sources.feedback import Feedback, Kind, Settled

MAX_PHOTOS = 10_000  # in one request for their decisions

_Text = Annotated[str | None, Field(max_length=400)]
_Photos = Annotated[list[str], Body(max_length=MAX_PHOTOS)]


class Decision(BaseModel):
    """A person's decision on a photo, with a model's answer; fields of `feedback.Decision`."""

    kind: Kind
    who: Annotated[str, Field(max_length=400)]
    label: _Text = None
    version: _Text = None
    answered: _Text = None
    probability: Annotated[float | None, Field(ge=0, le=1)] = None


def routes(folder: Path | None) -> APIRouter:
    """Builds the routes below /api/feedback.

    Args:
        folder: Stores decisions and photos. None: nothing is stored.
    """
    router, feedback = APIRouter(prefix="/api/feedback"), folder and Feedback(folder)

    def collection() -> Feedback:
        if feedback is None:
            raise HTTPException(404, "nothing is stored: start the app with --feedback DIR")
        return feedback

    @router.get("")
    def about() -> dict[str, Any]:
        """Returns whether decisions are stored, who runs the app, and the species people named."""
        if feedback is None:
            return {"stored": False}
        settled = feedback.settled().values()
        named = {what for one in settled for what in one.by.values()} - {"no_animal", "bad_photo"}
        return {
            "stored": True,
            "who": tracking.user(),
            "species": sorted(named),
            "photos": len(settled),
        }

    @router.post("/decisions")
    def decisions(photos: _Photos) -> dict[str, Any]:
        """Returns the decisions on photos, by their sha256."""
        return {photo: _shown(one) for photo, one in collection().settled(photos).items()}

    @router.post("")
    async def decide(request: Request, decision: Annotated[Decision, Query()]) -> dict[str, Any]:
        """Stores a decision on the photo in the body, and returns everybody's on it."""
        stored, data = collection(), await uploads.photo(request)
        await run_in_threadpool(lambda: stored.add(data, **decision.model_dump()))
        photo = decoding.identity(data)
        return _shown((await run_in_threadpool(stored.settled, [photo]))[photo])

    return router


def _shown(one: Settled) -> dict[str, Any]:
    return {"by": one.by, "verdict": one.verdict, "disputed": one.disputed}
