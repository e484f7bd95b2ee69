"""Predicts many photos: streams them, uses all cores, and goes on after a kill.

Each answer goes to a journal beside the output, a line of JSON a photo. A run that was killed reads
the journal and predicts only the rest. The output is written from the journal at the end, so that
it is the same bytes whether the run was disturbed or not. A photo whose size or time of change
differs from the journal is predicted again, with those that follow it.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from itertools import chain, groupby, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from pipeline.core import parallel
from pipeline.core.errors import UserError
from pipeline.core.progress import track
from pipeline.dataset import events
from pipeline.inference import checksums, decoding, recogniser_files
from pipeline.inference.crops import SubjectCrop, View
from pipeline.predict import clips, inputs

if TYPE_CHECKING:
    from pipeline.inference.recogniser import Recogniser

Answer = dict[str, Any]
TOP = 3
KEPT = 20  # species of a photo in the journal, from which those of its event are pooled
_PHOTOS_A_JOB = 32
_FRAMES_A_JOB = 64  # where bursts are seen together: few are cut in two, and few bytes wait
_HEAD = b'{"recogniser": '  # the start of a journal; a killed run may have written less of it
_ANSWER_FIELDS = (
    *("species", "probability", "unknown", "kind", "reason", "looks_like"),
    *("prediction_set", "top", "rank", "taxon", "taxon_probability"),
    *("brightness", "sharpness", "cut_short", "taken_at", "latitude", "longitude", "frames"),
)


def labels(recogniser: Path) -> list[str]:
    """Returns the species that a recogniser knows, in the order of its probabilities."""
    return json.loads((recogniser / "labels.json").read_text())["labels"]


def predict(
    recogniser: Path, paths: Sequence[str], journal: Path, jobs: int
) -> tuple[int, int, Counter[str]]:
    """Writes an answer for every photo to a journal, but for those that it answers already.

    Args:
        recogniser: Folder with `model.tflite` and `labels.json`.
        paths: Photos, clips, folders, archives (zip, tar) and patterns such as `cam*/**/*.jpg`.
        journal: The file; `answers` reads it.
        jobs: Processes to use.

    Returns:
        The numbers of photos, of those that could not be read, and of other files among them by
        kind.

    Raises:
        UserError: There is no photo, or another file where the journal is to be.
    """
    if os.path.lexists(journal) and not _is_journal(journal):
        raise UserError(f"{journal} is not the journal of an earlier run: move it elsewhere")
    passed_over: Counter[str] = Counter()
    total = sum(1 for _ in inputs.find(paths, passed_over, clips=True))
    if not total:
        among = f", among {inputs.listed(passed_over)}" if passed_over else ""
        raise UserError(f"there is no photo in {', '.join(paths)}{among}")
    header = f'{_HEAD.decode()}"{_digest(recogniser)}"}}'
    length = _PHOTOS_A_JOB if SubjectCrop.load(recogniser) is None else _FRAMES_A_JOB
    rest, done = _resume(journal, header, _batches(inputs.find(paths, clips=True), length))
    work = partial(_lines, str(recogniser.absolute()))
    batches = parallel.map_ordered(work, rest, jobs)
    with journal.open("a", encoding="utf-8") as file:
        for lines in track(batches, total - done, "predict", count=len):
            file.write("".join(lines))
            file.flush()
    failed = sum(answer["error"] is not None for answer in answers(journal))
    return total, failed, passed_over


def _is_journal(file: Path) -> bool:
    """Tells whether a file is an earlier run's journal, or its beginning."""
    if file.is_symlink() or not file.is_file():
        return False
    with file.open("rb") as opened:
        return _HEAD.startswith(opened.read(len(_HEAD)))


def answers(journal: Path) -> Iterator[Answer]:
    """Yields the answers in a journal, a photo at a time, with up to `KEPT` species in `top`."""
    with journal.open(encoding="utf-8") as file:
        next(file)
        for line in file:
            answer = json.loads(line)
            del answer["stamp"]
            yield answer


def _resume(
    journal: Path, header: str, batches: Iterator[list[inputs.Named]]
) -> tuple[Iterator[list[inputs.Named]], int]:
    """Truncates a journal after its last valid batch, for photos of a batch are seen together.

    Returns:
        The batches that it does not answer, and how many photos it does.
    """
    done, right, ahead = 0, 0, []
    if journal.exists():
        with journal.open("rb") as file:
            head = file.readline()
            if head == f"{header}\n".encode():
                right = len(head)
                for batch in batches:
                    lines = list(islice(file, len(batch)))
                    if len(lines) < len(batch) or not all(map(_is_of, lines, batch)):
                        ahead = [batch]
                        break
                    right, done = right + sum(map(len, lines)), done + len(batch)
    if right:
        with journal.open("r+b") as file:
            file.truncate(right)
    else:
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text(f"{header}\n", encoding="utf-8")
    return chain(ahead, batches), done


def _is_of(line: bytes, photo: inputs.Named) -> bool:
    """Tells whether a line of a journal answers a photo as it is now."""
    if not line.endswith(b"\n"):
        return False
    answer = json.loads(line)
    return (answer["path"], answer.get("stamp")) == (photo.path, photo.stamp())


def _batches(photos: Iterable[inputs.Named], length: int) -> Iterator[list[inputs.Named]]:
    """Yields photos of one folder, up to `length` at once, whatever stands in other folders."""
    for _, several in groupby(photos, key=lambda photo: PurePosixPath(photo.path).parent):
        while batch := list(islice(several, length)):
            yield batch


def _lines(folder: str, batch: list[inputs.Named]) -> list[str]:
    """Answers photos of one folder, a line of the journal each."""
    recogniser = _recogniser(folder)
    stamps = [photo.stamp() for photo in batch]  # before they are read
    contents: dict[str, bytes] = {}
    if recogniser.crop is not None and recogniser.crop.find == "motion":
        for photo in batch:
            with suppress(decoding.PhotoError):  # its answer says so
                if not photo.is_clip:
                    contents[photo.path] = photo.read()
    views = _views(recogniser, contents)
    lines = []
    for photo, stamp in zip(batch, stamps, strict=True):
        path = photo.path
        if photo.is_clip:
            row = answer_clip(recogniser, path, photo.read)
        else:
            read = partial(contents.get, path) if path in contents else photo.read
            row = answer_photo(recogniser, path, read, views.get(path))
        lines.append(f"{json.dumps(row | {'stamp': stamp})}\n")
    return lines


@cache
def _recogniser(folder: str) -> "Recogniser":
    """Reads a recogniser, once a process."""
    from pipeline.inference.recogniser import Recogniser

    return Recogniser(Path(folder), workers=1)


def _views(recogniser: "Recogniser", contents: dict[str, bytes]) -> dict[str, list[View]]:
    """Returns what of each photo is seen, given those that were taken shortly before and after.

    It lacks photos without a time, which are seen as if they were alone.
    """
    taken_at = {path: decoding.capture(data)["taken_at"] for path, data in contents.items()}
    times = pd.Series(taken_at, dtype="str")
    number = events.number(pd.Series("", index=times.index), times, events.GAP)
    views: dict[str, list[View]] = {}
    for _, several in times.groupby(number):
        paths = several.sort_values(kind="stable").index
        of_frames = recogniser.views([contents[path] for path in paths])
        views |= zip(paths, of_frames, strict=True)
    return views


def answer_photo(
    recogniser: "Recogniser",
    path: str,
    read: Callable[[], bytes],
    views: Sequence[View] | None = None,
) -> Answer:
    """Answers one photo.

    Args:
        recogniser: Answers.
        path: The photo's name in the answer.
        read: Returns the bytes of its file, or raises `decoding.PhotoError`.
        views: What of it the network shall see. Defaults to what it sees of a photo alone.

    Returns:
        A row as `answers` yields it; `error` says why a photo has no answer.
    """
    row = _unanswered(path)
    try:
        data = read()
        row |= {"photo": decoding.identity(data), **decoding.capture(data), "cut_short": False}
        return row | _rounded(recogniser.answer(data, KEPT, light=True, views=views))
    except decoding.PhotoError as error:
        return row | {"top": [], "error": f"{error.reason}: {error}"}


def _unanswered(path: str) -> Answer:
    return dict.fromkeys(("path", "photo", *_ANSWER_FIELDS, "error")) | {"path": path}


def answer_clip(recogniser: "Recogniser", path: str, read: Callable[[], bytes]) -> Answer:
    """Answers one clip by `clips.answer`. Returns a row, as `answer_photo` does."""
    row = _unanswered(path)
    try:
        return row | _rounded(clips.answer(recogniser, read, KEPT))
    except decoding.PhotoError as error:
        return row | {"top": [], "error": f"{error.reason}: {error}"}


def _rounded(answer: Any) -> Any:
    """Rounds every float to six decimals: more would carry no information, and fill disks."""
    if isinstance(answer, dict):
        return {name: _rounded(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [_rounded(value) for value in answer]
    return round(answer, 6) if isinstance(answer, float) else answer


def _digest(recogniser: Path) -> str:
    """Returns the sha256 of the files of a recogniser that decide its answers."""
    digest = hashlib.sha256()
    for file in recogniser_files.of(recogniser):  # by name, for the journal may lie beside them
        digest.update(bytes.fromhex(checksums.sha256(file)))
    return digest.hexdigest()
