"""Routes to the photos of the collection whose label is probably wrong, for people to review."""

from pathlib import Path

import pandas as pd
from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from pipeline.core import workspace
from pipeline.core.errors import UserError
from pipeline.inference import decoding
from pipeline.sources.feedback import Feedback

MOST = 40  # a round of review; the next round has the others
_TABLE = Path("reports/label_errors.csv")
_COLUMNS = {"photo": "photo", "path": "path", "species": "label", "suggested": "suggested"}


def routes(project: Path | None, folder: Path | None) -> APIRouter:
    """Builds the routes below /api/suspects.

    Args:
        project: The project's folder. None: no photo is suspected.
        folder: Stores decisions. None: no photo is suspected, for nobody could correct it.
    """
    router = APIRouter(prefix="/api/suspects")

    @router.get("")
    def every() -> list[dict[str, str]]:
        """Lists the photos."""
        return listed(project, Feedback(folder)) if project and folder else []

    @router.get("/{photo}")
    def one(photo: str) -> Response:
        """Returns the file of one of them."""
        if not project or not folder:
            raise HTTPException(404, "start the app with --feedback DIR, in a project's folder")
        try:
            data = content(project, Feedback(folder), photo)
        except UserError as error:
            raise HTTPException(404, str(error)) from None
        return Response(data, media_type="application/octet-stream")

    return router


def listed(project: Path, feedback: Feedback) -> list[dict[str, str]]:
    """Lists the photos that evaluate suspects and on which no decision stands.

    Args:
        project: The project's folder.
        feedback: The decisions.

    Returns:
        photo (sha256), path, label and suggested (a species) of each, the least credible label
        first, at most `MOST`; none where evaluate has not run.
    """
    try:
        table = pd.read_csv(project / _TABLE, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        return []
    decided = {photo for photo, one in feedback.settled(table["photo"]).items() if one.by}
    table = table.rename(columns=_COLUMNS)[list(_COLUMNS.values())]
    return table[~table["photo"].isin(list(decided))].head(MOST).to_dict("records")


def content(project: Path, feedback: Feedback, photo: str) -> bytes:
    """Reads a photo that `listed` names.

    Args:
        project: The project's folder.
        feedback: The decisions.
        photo: Its sha256.

    Raises:
        UserError: It is not listed, or its file is gone or has changed.
    """
    paths = [row["path"] for row in listed(project, feedback) if row["photo"] == photo]
    if not paths:
        raise UserError("this photo is not, or no longer, among those whose label is suspected")
    file = project / workspace.collection_root(project / "data/ingested") / paths[0]
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None
    if decoding.identity(data) != photo:
        raise UserError(f"{file} has changed since evaluate read it; run `dvc repro` again")
    return data
