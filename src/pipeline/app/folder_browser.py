"""Shows the folders of this machine that a person may choose to learn from.

They lie below one folder, `root`, and nothing outside of it is shown.
"""

from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.sources.filenames import METADATA, ignored

_COLLECTIONS = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", *METADATA}
MAX_SHOWN = 500  # entries


def find(root: Path, path: str) -> Path:
    """Returns a folder or file.

    Args:
        root: The uppermost folder.
        path: Relative to the root, as `listed` gives it.

    Raises:
        UserError: It leads out of the root, by `..` or by a link, or is not there.
    """
    if not _holds(root, root / path):
        raise UserError(f"there is no such folder below {root}")
    return (root / path).resolve()


def listed(root: Path, path: str) -> dict[str, Any]:
    """Lists a folder: the folders in it, and the files that may be collections.

    Args:
        root: The uppermost folder.
        path: Relative to the root.

    Raises:
        UserError: It leads out of the root, or cannot be read.
    """
    root = root.resolve()
    folder = find(root, path)
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name.lower())
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from None
    shown = [entry for entry in entries if not ignored(entry.name) and _holds(root, entry)]
    folders = [entry.name for entry in shown if entry.is_dir()]
    files = [e.name for e in shown if e.is_file() and e.suffix.lower() in _COLLECTIONS]
    return {
        "root": str(root),
        "path": "" if folder == root else folder.relative_to(root).as_posix(),
        "folders": folders[:MAX_SHOWN],
        "files": files[:MAX_SHOWN],
        "others": sum(entry.is_file() for entry in shown) - len(files),
    }


def _holds(root: Path, entry: Path) -> bool:
    """Tells whether something is there, and below the root where it is a link too."""
    try:
        return entry.resolve().is_relative_to(root.resolve()) and entry.exists()
    except (OSError, RuntimeError, ValueError):  # too long, a link in a circle, a null byte
        return False
