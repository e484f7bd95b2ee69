"""Names of files and folders that mean something to every form of collection."""

import re

METADATA = (".csv", ".tsv", ".parquet", ".jsonl", ".json")  # files that may speak of photos
# What operating systems leave behind in folders of photos.
_SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}
_SPLIT = re.compile(
    r"(?:(?P<train>train(?:ing)?)|(?P<validation>val(?:id(?:ation|ate)?)?|dev)|"
    r"(?P<test>test(?:ing)?|holdout))(?:[ _-]*(?:set|images?|imgs?|photos?|data|20\d\d))*",
    re.IGNORECASE,
)


def ignored(name: str) -> bool:
    """Whether a file or folder of this name is hidden or an operating system's own."""
    hidden = name.startswith(".") and name not in (".", "..")
    return hidden or name.lower() in _SYSTEM


def split_named(name: str | None) -> str | None:
    """The split that a folder, a table or a cell of this name stands for; None for any other."""
    match = isinstance(name, str) and _SPLIT.fullmatch(name.strip())
    return match.lastgroup if match else None
