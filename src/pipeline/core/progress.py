"""One way to show how far a long step is."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """How far something is: a bar on a terminal, a line now and then in a log.

    Args:
        total: How much there is to do, in `unit`s.
        doing: What is being done.
        unit: What is counted.
        lasting: Whether the bar stays on the terminal, and a log gets a last line, when it is done.
            Defaults to True.

    Attributes:
        said: What else is worth to be told; set it whenever it changes.
    """

    def __init__(self, total: int, doing: str, unit: str, lasting: bool = True):
        self.said = ""
        self._total, self._doing, self._unit, self._lasting = total, doing, unit, lasting
        self._bar = tqdm(
            total=total,
            desc=doing,
            unit=f" {unit}",
            leave=lasting,
            disable=not sys.stderr.isatty(),
        )
        self._done, self._started = 0, time.monotonic()
        self._told = self._started

    def advance(self, units: int) -> None:
        self._done += units
        if self.said:
            self._bar.set_postfix_str(self.said, refresh=False)
        self._bar.update(units)
        now = time.monotonic()
        if self._bar.disable and now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told, rate = now, self._done / (now - self._started)
            done = f"{self._doing}: {self._done} of {self._total} {self._unit}"
            left = f"{rate:.0f}/s, {(self._total - self._done) / rate:.0f} s left"
            print(", ".join(filter(None, (done, self.said, left))), file=sys.stderr)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._bar.close()
        if self._bar.disable and self._lasting and self._total and not failed:
            seconds = time.monotonic() - self._started
            what = f"{self._done} {self._unit} in {seconds:.1f} s"
            print(f"{self._doing}: {what}", file=sys.stderr)


def track(
    items: Iterable[T],
    total: int,
    doing: str,
    unit: str = "photos",
    count: Callable[[T], int] = lambda item: 1,
) -> Iterator[T]:
    """Yields `items` and shows progress.

    Args:
        items: What is worked through.
        total: How many there are, in `unit`s.
        doing: What is being done.
        unit: What is counted.
        count: How many units an item is; `len` for batches. Defaults to one.
    """
    with Progress(total, doing, unit) as progress:
        for item in items:
            yield item
            progress.advance(count(item))
