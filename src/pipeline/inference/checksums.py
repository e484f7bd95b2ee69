"""The sha256 of every file in a folder: written once, checked whenever the folder is used."""

import hashlib
from pathlib import Path

SUMS = "SHA256SUMS"  # `sha256sum --check SHA256SUMS` reads it too
_LATER = {"registered_model_meta"}  # MLflow puts it into a version's folder when it fetches one


class ChecksumMismatch(Exception):
    """A folder is not as it was written. The message names a file and what is wrong with it."""


def write_checksums(folder: Path) -> None:
    """Writes the hashes of all files that are in the folder now to its `SHA256SUMS`."""
    files = sorted(_files(folder))
    lines = [f"{sha256(folder / name)}  {name}\n" for name in files]
    (folder / SUMS).write_text("".join(lines))


def verify(folder: Path, sums: str | None = None) -> None:
    """Checks that the folder holds the files whose hashes were written, no more and no less.

    Finds damage and careless hands. Whoever means harm can write new hashes into the folder, so
    where their own hash is known from elsewhere give it as `sums`.

    Args:
        folder: What `write_checksums` was given, or a copy.
        sums: The sha256 of `SHA256SUMS`. Defaults to None: not checked.

    Raises:
        ChecksumMismatch: A file is another, is missing or was added.
    """
    listed = folder / SUMS
    if not listed.exists():
        raise ChecksumMismatch(f"{folder} has no {SUMS} any more; its files cannot be trusted")
    if sums is not None and sha256(listed) != sums:
        raise ChecksumMismatch(f"{listed} is not the list of hashes that was registered")
    lines = listed.read_text().splitlines()
    expected = {name: known for known, name in (line.split("  ", 1) for line in lines)}
    present = _files(folder)
    for name, known in expected.items():
        if name not in present:
            raise ChecksumMismatch(f"{folder / name} is missing")
        if sha256(folder / name) != known:
            raise ChecksumMismatch(f"{folder / name} was altered: its sha256 is not that of {SUMS}")
    if added := sorted(present - set(expected)):
        raise ChecksumMismatch(f"{folder / added[0]} was added later; {SUMS} does not know it")


def _files(folder: Path) -> set[str]:
    """Returns relative paths, less what Python compiled, for that comes and goes."""
    present = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    written = {path.as_posix() for path in present if "__pycache__" not in path.parts}
    return written - _LATER - {SUMS}


def sha256(path: Path) -> str:
    """Returns the sha256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
