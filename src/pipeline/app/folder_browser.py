"""Shows the folders of this machine that a person may choose to learn from."""

from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.sources.filenames import METADATA, ignored

_COLLECTIONS = {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", *METADATA}
MAX_SHOWN = 500  # entries


class FolderBrowser:
    """Lists folders below one, and nothing outside of it.

    Args:
        root: The uppermost folder.
    """

    def __init__(self, root: Path):
        self.root = root.resolve()

    def find(self, path: str) -> Path:
        """Returns a folder or file below the root.

        Args:
            path: Relative to the root, as `list` gives it.

        Raises:
            UserError: It leads out of the root, by `..` or by a link, or is not there.
        """
        if not self._holds(self.root / path):
            raise UserError(f"there is no such folder below {self.root}")
        return (self.root / path).resolve()

    def list(self, path: str) -> dict[str, Any]:
        """Lists a folder: the folders in it, and the files that may be collections.

        Args:
            path: Relative to the root.

        Raises:
            UserError: It leads out of the root, or cannot be read.
        """
        folder = self.find(path)
        try:
            entries = sorted(folder.iterdir(), key=lambda entry: entry.name.lower())
        except OSError as error:
            raise UserError(f"{folder} cannot be read: {error.strerror}") from None
        shown = [entry for entry in entries if not ignored(entry.name) and self._holds(entry)]
        folders = [entry.name for entry in shown if entry.is_dir()]
        files = [e.name for e in shown if e.is_file() and e.suffix.lower() in _COLLECTIONS]
        return {
            "root": str(self.root),
            "path": "" if folder == self.root else folder.relative_to(self.root).as_posix(),
            "folders": folders[:MAX_SHOWN],
            "files": files[:MAX_SHOWN],
            "others": sum(entry.is_file() for entry in shown) - len(files),
        }

    def _holds(self, entry: Path) -> bool:
        """Tells whether something is there, and below the root where it is a link too."""
        try:
            return entry.resolve().is_relative_to(self.root) and entry.exists()
        except (OSError, RuntimeError, ValueError):  # too long, a link in a circle, a null byte
            return False
