"""Lists the files of a collection by rules that a test names."""

from pipeline.sources import reader
from pipeline.sources.choice import Rules


def list_files(top, labels=None, chosen=None, **rules):
    """The files of a collection (`reader.Collection.files`).

    Args:
        top: Its top folder.
        labels: `ingest.labels`.
        chosen: The metadata to use; all that are in `top` without.
        rules: Other fields of `Rules`.
    """
    inner = None if chosen is None else chosen.relative_to(top).as_posix()
    return reader.read(top, Rules(labels or {}, chosen=inner, **rules)).files
