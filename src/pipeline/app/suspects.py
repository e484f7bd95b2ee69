"""Routes to the photos of the collection whose label is probably wrong, for people to review."""

from pathlib import Path

import pandas as pd
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from pipeline.core import workspace
from pipeline.inference import decoding
from pipeline.sources.feedback import Feedback

MOST = 40  # a round of review; the next round has the others
_TABLE = Path("reports/label_errors.csv")
_COLUMNS = {"photo": "photo", "path": "path", "species": "label", "suggested": "suggested"}

router = APIRouter(prefix="/api/suspects")


@router.get("")
def listed(request: Request) -> list[dict[str, str]]:
    """Lists the photos that evaluate suspects and on which no decision stands.

    Returns:
        photo (sha256), path, label and suggested (a species) of each, the least credible label
        first, at most `MOST`; none where evaluate has not run, or nobody could correct it.
    """
    feedback: Feedback | None = request.app.state.feedback
    if feedback is None or request.app.state.folders is None:
        return []
    try:
        table = pd.read_csv(_TABLE, dtype=str, keep_default_na=False)
    except FileNotFoundError:  # nothing was tested yet, or DVC is at it
        return []
    decided = {photo for photo, one in feedback.settled(table["photo"]).items() if one.by}
    table = table.rename(columns=_COLUMNS)[list(_COLUMNS.values())]
    return table[~table["photo"].isin(list(decided))].head(MOST).to_dict("records")


@router.get("/{photo}")
def one(request: Request, photo: str) -> Response:
    """Returns the file of one of them."""
    paths = [row["path"] for row in listed(request) if row["photo"] == photo]
    if not paths:
        raise HTTPException(404, "its label is not, or no longer, suspected")
    file = workspace.collection_root(Path("data/ingested")) / paths[0]
    try:
        data = file.read_bytes()
    except OSError as error:
        raise HTTPException(404, f"{file} cannot be read: {error.strerror}") from None
    if decoding.identity(data) != photo:
        raise HTTPException(404, f"{file} has changed; run `dvc repro` again")
    return Response(data, media_type="application/octet-stream")
