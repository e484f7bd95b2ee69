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
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.core import parallel
from pipeline.core.errors import UserError
from pipeline.core.progress import track
from pipeline.inference import decoding, novelty
from pipeline.predict import inputs

if TYPE_CHECKING:
    from pipeline.inference.recogniser import Recogniser

T = TypeVar("T")
Answer = dict[str, Any]
TOP = 3
KEPT = 20  # species of a photo in the journal, from which those of its event are pooled
_PHOTOS_A_JOB = 32
_HEAD = b'{"recogniser": '  # the start of a journal; a killed run may have written less of it
_ANSWER_FIELDS = (
    *("species", "probability", "unknown", "kind", "reason", "looks_like"),
    *("prediction_set", "top"),
    *("brightness", "sharpness", "cut_short", "taken_at", "latitude", "longitude"),
)


@dataclass(frozen=True)
class Summary:
    """The counts of a run.

    Attributes:
        photos: Photos that were predicted.
        failed: Those of them that could not be read.
        passed_over: Other files that lay among them, by kind.
    """

    photos: int
    failed: int
    passed_over: Counter[str]


def labels(recogniser: Path) -> list[str]:
    """Returns the species that a recogniser knows, in the order of its probabilities."""
    return json.loads((recogniser / "labels.json").read_text())["labels"]


def predict(recogniser: Path, paths: Sequence[str], journal: Path, jobs: int) -> Summary:
    """Writes an answer for every photo to a journal, but for those that it answers already.

    Args:
        recogniser: Folder with `model.tflite` and `labels.json`.
        paths: Files, folders, archives (zip, tar) and patterns such as `cam*/**/*.jpg`.
        journal: The file; `answers` reads it.
        jobs: Processes to use.

    Returns:
        The counts of photos and files.

    Raises:
        UserError: There is no photo, or no recogniser.
    """
    require_journal(journal)
    passed_over: Counter[str] = Counter()
    total = sum(1 for _ in inputs.find(paths, passed_over))
    if not total:
        among = f", among {inputs.listed(passed_over)}" if passed_over else ""
        raise UserError(f"there is no photo in {', '.join(paths)}{among}")
    header = f'{_HEAD.decode()}"{_digest(recogniser)}"}}'
    rest, done = _resume(journal, header, inputs.find(paths))
    work = partial(_lines, str(recogniser.absolute()))
    batches = parallel.map_ordered(work, _batches(rest), jobs)
    with journal.open("a", encoding="utf-8") as file:
        for lines in track(batches, total - done, "predict", count=len):
            file.write("".join(lines))
            file.flush()
    failed = sum(answer["error"] is not None for answer in answers(journal))
    return Summary(total, failed, passed_over)


def require_journal(journal: Path) -> None:
    """Checks that nothing but an earlier run's journal stands where the journal is to be.

    Raises:
        UserError: Another file does.
    """
    if not os.path.lexists(journal):
        return
    begins = journal.is_file() and not journal.is_symlink() and journal.open("rb").read(len(_HEAD))
    if begins is False or not _HEAD.startswith(begins):
        raise UserError(f"{journal} is not the journal of an earlier run: move it elsewhere")


def answers(journal: Path) -> Iterator[Answer]:
    """Yields the answers in a journal, a photo at a time, with up to `KEPT` species in `top`."""
    with journal.open(encoding="utf-8") as file:
        next(file)
        for line in file:
            answer = json.loads(line)
            del answer["stamp"]
            yield answer


def seen_from(folder: Path, answers: Iterable[Answer]) -> Iterator[Answer]:
    """Yields the same answers, with their paths relative to a folder."""
    return (answer | {"path": inputs.relative(answer["path"], folder)} for answer in answers)


def _resume(
    journal: Path, header: str, photos: Iterator[inputs.Named]
) -> tuple[Iterator[inputs.Named], int]:
    """Truncates a journal after its last valid line.

    Returns:
        The photos that it does not answer, and how many it does.
    """
    done, right, ahead = 0, 0, []
    if journal.exists():
        with journal.open("rb") as file:
            head = file.readline()
            if head == f"{header}\n".encode():
                right = len(head)
                for line in file:
                    photo = next(photos, None)
                    if not line.endswith(b"\n") or photo is None:
                        ahead = [photo] if photo else []
                        break
                    answer = json.loads(line)
                    if (answer["path"], answer.get("stamp")) != (photo.path, photo.stamp()):
                        ahead = [photo]
                        break
                    right, done = right + len(line), done + 1
    if right:
        with journal.open("r+b") as file:
            file.truncate(right)
    else:
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text(f"{header}\n", encoding="utf-8")
    return chain(ahead, photos), done


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    items = iter(items)
    while batch := list(islice(items, _PHOTOS_A_JOB)):
        yield batch


def _lines(recogniser: str, batch: list[inputs.Named]) -> list[str]:
    answer = _answerer(recogniser)
    return [f"{json.dumps(answer(photo))}\n" for photo in batch]


@cache
def _answerer(folder: str) -> Callable[[inputs.Named], Answer]:
    """Returns a function that answers one photo; made once a process."""
    from pipeline.inference.recogniser import Recogniser

    recogniser = Recogniser(Path(folder), workers=1)

    def answer(photo: inputs.Named) -> Answer:
        stamp = photo.stamp()  # of before it is read
        return answer_photo(recogniser, photo.path, photo.read) | {"stamp": stamp}

    return answer


def answer_photo(recogniser: "Recogniser", path: str, read: Callable[[], bytes]) -> Answer:
    """Answers one photo.

    Args:
        recogniser: Answers.
        path: The photo's name in the answer.
        read: Returns the bytes of its file, or raises `decoding.PhotoError`.

    Returns:
        A row as `answers` yields it; `error` says why a photo has no answer.
    """
    row = dict.fromkeys(("path", "photo", *_ANSWER_FIELDS, "error")) | {"path": path}
    try:
        data = read()
        row |= {"photo": decoding.identity(data), **decoding.capture(data), "cut_short": False}
        return row | _rounded(recogniser.answer(data, KEPT, light=True))
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
    """Returns the sha256 of the files of a recogniser."""
    digest = hashlib.sha256()
    for name in ("model.tflite", "labels.json", novelty.FILE):
        try:
            digest.update(hashlib.sha256((recogniser / name).read_bytes()).digest())
        except FileNotFoundError:
            if name != novelty.FILE:  # which older versions lack
                raise UserError(f"{recogniser} is not a recogniser: {name} is missing") from None
    return digest.hexdigest()
