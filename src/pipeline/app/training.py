"""Routes that train: choose a collection, run the stages, decide what serves.

`folders` of the application's state is the uppermost folder that collections can be chosen from.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from pipeline.app import collection_summary, folder_browser, params_lines, pipeline_run
from pipeline.core import params
from pipeline.core.errors import UserError
from pipeline.register import audit_log, promotion, versions
from pipeline.sources import reader
from pipeline.sources.feedback import Feedback

# Reports are pages with styles of their own, and whatever people's labels put into them: no script.
_REPORT_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'self'; sandbox allow-same-origin allow-popups"
)

_OF_A_CHECK = ("name", "passed", "reason", "measured", "limit", "values")
_OF_A_COMPARISON = ("champion", "photos", "accuracy", "champion_accuracy", "low", "high")

router = APIRouter(prefix="/api/training")


class Reports(StaticFiles):
    """The reports of the stages, as they stand on the disk."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answers with a file that can run no script."""
        response = await super().get_response(path, scope)
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        response.headers["Cache-Control"] = "no-cache"
        return response


@router.get("")
def about() -> dict[str, Any]:
    """Returns the collection, the run's progress, and which reports there are."""
    if not Path("dvc.yaml").exists():
        return {"possible": False}
    pages = ("ingest/index.html", "index.html")
    try:
        source, problem = params.load().ingest.source, None
    except UserError as error:
        source, problem = None, str(error)
    return {
        "possible": True,
        "source": source,
        "problem": problem,
        "run": pipeline_run.describe(),
        "reports": [page for page in pages if Path("reports", page).is_file()],
    }


@router.get("/collection")
def collection() -> dict[str, Any] | None:
    """Returns what ingest says of the collection that is chosen now, and counts corrections."""
    ingest = params.load().ingest
    summary = collection_summary.read(ingest.source, ingest.min_per_species)
    settled = Feedback(Path(ingest.feedback)).settled().values()
    return summary and summary | {"corrections": sum(bool(one.species) for one in settled)}


@router.get("/folders")
def folders(request: Request, path: str = "") -> dict[str, Any]:
    """Lists a folder."""
    return folder_browser.listed(request.app.state.folders, path)


@router.post("/start")
def start(
    request: Request,
    source: Annotated[str | None, Body(max_length=4000)] = None,
    target: Annotated[Literal["ingest"] | None, Body()] = None,
) -> None:
    """Starts the stages, on another collection if a path below the folders names one."""
    with pipeline_run.require_idle():
        if source is not None:
            reader.choose(folder_browser.find(request.app.state.folders, source))
        pipeline_run.start(target)


@router.post("/stop")
def stop() -> None:
    """Ends the run."""
    pipeline_run.stop()


@router.get("/params")
def lines() -> list[dict[str, Any]]:
    """Lists the lines of params.yaml."""
    return params_lines.listed()


@router.post("/params")
def change(
    name: Annotated[str, Body(max_length=200)], value: Annotated[str, Body(max_length=4000)]
) -> list[dict[str, Any]]:
    """Changes a line of params.yaml."""
    with pipeline_run.require_idle():
        params_lines.change(name, value)
    return params_lines.listed()


@router.get("/versions")
def every() -> list[dict[str, Any]]:
    """Lists the versions, the newest first, with the gate's verdict."""
    return [_shown(version) for version in reversed(versions.versions())]


@router.post("/promote")
def promote(
    version: Annotated[int, Body()], why: Annotated[str, Body(max_length=1000)] = ""
) -> None:
    """Lets a version serve; one that failed the gate needs a reason."""
    promotion.repair()
    promotion.promote_by_hand(version, why)


@router.post("/rollback")
def rollback() -> None:
    """Lets the former champion serve again."""
    promotion.repair()
    promotion.rollback("by hand", len(audit_log.moves()))


def _shown(version: versions.Version) -> dict[str, Any]:
    accuracy, compared = version.tags.get("accuracy"), version.comparison
    return {
        "version": version.number,
        "serves": version.stage == versions.STAGE,
        "made": version.made.isoformat(timespec="seconds"),
        "accuracy": float(accuracy) if accuracy else None,
        "photos": version.tags.get("photos"),
        "judged": bool(version.checks),
        "checks": [{name: check.get(name) for name in _OF_A_CHECK} for check in version.checks],
        "comparison": compared and {name: compared.get(name) for name in _OF_A_COMPARISON},
    }
