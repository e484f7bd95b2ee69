"""Shows the folders of this machine that a person may choose to learn from."""

from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError
from pipeline.sources.filenames import METADATA, ignored

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
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
        try:
            resolved = (self.root / path).resolve()
            there = resolved.is_relative_to(self.root) and resolved.exists()
        except (OSError, RuntimeError, ValueError):  # too long, a link in a circle, a null byte
            there = False
        if not there:
            raise UserError(f"there is no such folder below {self.root}")
        return resolved

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
        shown = [entry for entry in entries if not ignored(entry.name) and self._inside(entry)]
        folders = [entry.name for entry in shown if entry.is_dir()]
        files = [e.name for e in shown if e.is_file() and _may_be_collection(e)]
        return {
            "root": str(self.root),
            "path": "" if folder == self.root else folder.relative_to(self.root).as_posix(),
            "folders": folders[:MAX_SHOWN],
            "files": files[:MAX_SHOWN],
            "others": sum(entry.is_file() for entry in shown) - len(files),
        }

    def _inside(self, entry: Path) -> bool:
        try:
            return entry.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):  # a link in a circle
            return False


def _may_be_collection(file: Path) -> bool:
    return file.suffix.lower() in (*_ARCHIVES, *METADATA)
