"""Reads the detector that `ingest.detector` names."""

from functools import lru_cache
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.inference import detector
from pipeline.inference.detector import Detector, DetectorError


@lru_cache(maxsize=1)
def load(path: Path) -> Detector:
    """Reads a network; a process keeps the last one.

    Args:
        path: A file of one of the kinds that `inference.detector.read` takes.

    Raises:
        UserError: There is no such file, it is too large, or it holds no such network.
    """
    if not path.is_file():
        raise UserError(
            f"there is no detector {path} (ingest.detector): put one there as "
            "data/detectors/README.md says, or leave `detector` out of ingest.find"
        )
    try:
        return detector.read(path)
    except DetectorError as error:
        raise UserError(f"ingest.detector {error}") from None
