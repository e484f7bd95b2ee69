"""Routes that store people's decisions on photos, where the person who runs the app wants that.

`feedback` of the application's state stores them; it is None where nothing is stored.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from pipeline.app import uploads
from pipeline.core import tracking
from pipeline.inference import decoding
from pipeline.sources.feedback import Feedback, Kind, Settled

MAX_PHOTOS = 10_000  # in one request for their decisions

router = APIRouter(prefix="/api/feedback")
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


def _collection(request: Request) -> Feedback:
    """Returns what stores decisions. Raises HTTPException where nothing does (404)."""
    if request.app.state.feedback is None:
        raise HTTPException(404, "nothing is stored: start the app with --feedback DIR")
    return request.app.state.feedback


_Collection = Annotated[Feedback, Depends(_collection)]


@router.get("")
def about(request: Request) -> dict[str, Any]:
    """Returns whether decisions are stored, who runs the app, and the species people named."""
    feedback: Feedback | None = request.app.state.feedback
    if feedback is None:
        return {"stored": False}
    settled = feedback.settled().values()
    named = {what for one in settled for what in one.by.values()} - {"no_animal", "bad_photo"}
    return {"stored": True, "who": tracking.user(), "species": sorted(named)}


@router.post("/decisions")
def decisions(feedback: _Collection, photos: _Photos) -> dict[str, Any]:
    """Returns the decisions on photos, by their sha256."""
    return {photo: _shown(one) for photo, one in feedback.settled(photos).items()}


@router.post("")
async def decide(
    request: Request, feedback: _Collection, decision: Annotated[Decision, Query()]
) -> dict[str, Any]:
    """Stores a decision on the photo in the body, and returns everybody's on it."""
    data = await uploads.photo(request)
    await run_in_threadpool(lambda: feedback.add(data, **decision.model_dump()))
    photo = decoding.identity(data)
    return _shown((await run_in_threadpool(feedback.settled, [photo]))[photo])


def _shown(one: Settled) -> dict[str, Any]:
    return {"by": one.by, "verdict": one.verdict, "disputed": one.disputed}
