"""Recognises names of files and folders that every form of collection shares."""

import re

# Files that may speak of photos.
METADATA = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".xlsx", ".json")
# Cameras' raw files. Pillow takes the thumbnail of 160 px in those that are TIFFs for the photo.
RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mrw", ".nef"),
    *(".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
RAW_ADVICE = "export it as JPEG, as the camera's program or darktable does"
VIDEO = (
    *(".3gp", ".asf", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm"),
    ".wmv",
)
# Endings of photos' files, where they are not the format's name; MPO is a JPEG to its readers.
_ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif", "HEIF": "heic"}
# What operating systems, network drives and programs leave behind in folders of photos.
_SYSTEM = {
    *("thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"),
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "lost+found"),
    *("recycler", "$extend", "network trash folder", "temporary items", "ehthumbs.db"),
}
_SPLIT = re.compile(
    r"(?:(?P<train>train(?:ing)?)|(?P<validation>val(?:id(?:ation|ate)?)?|dev)|"
    r"(?P<test>test(?:ing)?|holdout))(?:[ _-]*(?:set|images?|imgs?|photos?|data|20\d\d))*",
    re.IGNORECASE,
)


def ignored(name: str) -> bool:
    """Returns whether a file or folder of this name is hidden or an operating system's own."""
    hidden = name.startswith(".") and name not in (".", "..")
    return hidden or name.lower() in _SYSTEM


def ending(form: str) -> str:
    """Returns the ending, without a dot, of files in one of Pillow's formats, such as `JPEG`."""
    return _ENDINGS.get(form, form.lower())


def split_named(name: str | None) -> str | None:
    """Returns the split that a name of a folder, table or cell stands for, or None."""
    match = isinstance(name, str) and _SPLIT.fullmatch(name.strip())
    return match.lastgroup if match else None
