"""Bringing a collection onto the disk, whatever form it has."""

from pathlib import Path

from pipeline import outputs
from pipeline.errors import UserError
from pipeline.sources import archive, folders, recipe


def gather(source: str, files: Path, jobs: int) -> list[folders.Found]:
    """Brings a collection onto the disk where it is not there yet, and lists its files.

    Args:
        source: `ingest.source` of the params.
        files: Folder for what has to be unpacked, fetched or drawn. It is made in any case.
        jobs: Processes to use.

    Returns:
        Every file of the collection, in the order of their paths below `folders.root`.

    Raises:
        UserError: There is no such source, or it cannot be read as a collection.
    """
    path = Path(source)
    if not path.exists():
        raise UserError(f"ingest.source is {source}, and there is no such file or folder")
    with outputs.whole(files) as partial:
        partial.mkdir()
        if path.is_dir():
            pass  # photos stay where they are
        elif archive.is_archive(path):
            archive.unpack(path, partial)
        elif recipe.is_recipe(path):
            recipe.follow(path, partial, jobs)
        else:
            raise UserError(
                f"ingest.source is {source}, which is neither a folder, nor a zip or tar, "
                "nor a recipe (.yaml)"
            )
    return folders.walk(folders.root(source, files))
