"""What a collection of photos can be, told apart by what is found.

A folder of class folders stays where it is; an archive of one is unpacked, and a recipe followed,
into a folder of the pipeline's own.
"""

from pathlib import Path

from pipeline.errors import UserError
from pipeline.sources import archive, folders, recipe


def root(source: str, files: Path) -> Path:
    """The folder that the paths of a manifest start from.

    Args:
        source: `ingest.source` of the params.
        files: Where ingest puts what it has to unpack or draw.
    """
    path = Path(source)
    return folders.top(path if path.is_dir() else files)


def gather(source: str, files: Path, jobs: int) -> list[folders.Found]:
    """Brings a collection onto the disk where it is not there yet, and lists its files.

    Args:
        source: `ingest.source` of the params.
        files: Folder for what has to be unpacked or drawn. It is made in any case.
        jobs: Processes to use.

    Returns:
        Every file of the collection, in the order of their paths below `root(source, files)`.

    Raises:
        UserError: There is no such source, or it cannot be read as a collection.
    """
    path = Path(source)
    files.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        raise UserError(f"ingest.source is {source}, and there is no such file or folder")
    if path.is_file():
        if archive.is_archive(path):
            archive.unpack(path, files)
        elif path.suffix.lower() in (".yaml", ".yml"):
            recipe.follow(path, files, jobs)
        else:
            raise UserError(
                f"ingest.source is {source}, which is neither a folder, nor a zip or tar, "
                "nor a recipe (.yaml)"
            )
    return folders.walk(root(source, files))
