"""Shows the progress of a long step."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """A bar on a terminal, or a line every few seconds in a log.

    Args:
        total: The number of `unit`s.
        doing: The name of the step, such as `resize`.
        unit: The name of what is counted, in the plural.
        lasting: Whether the bar stays on the terminal, and a log gets a last line, when it is done.
            Defaults to True.

    Attributes:
        message: A text behind the bar, such as the best accuracy so far; empty at first.
    """

    def __init__(self, total: int, doing: str, unit: str, lasting: bool = True):
        self.message = ""
        self._total, self._doing, self._unit, self._lasting = total, doing, unit, lasting
        self._bar = tqdm(
            total=total,
            desc=doing,
            unit=f" {unit}",
            leave=lasting,
            disable=not sys.stderr.isatty(),
        )
        self._done, self._started = 0, time.monotonic()
        self._last_line = self._started

    def advance(self, units: int) -> None:
        """Counts some units as done, and shows it."""
        self._done += units
        if self.message:
            self._bar.set_postfix_str(self.message, refresh=False)
        self._bar.update(units)
        now = time.monotonic()
        if self._bar.disable and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line, rate = now, self._done / (now - self._started)
            done = f"{self._doing}: {self._done} of {self._total} {self._unit}"
            left = f"{rate:.0f}/s, {(self._total - self._done) / rate:.0f} s left"
            print(", ".join(filter(None, (done, self.message, left))), file=sys.stderr)

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
        items: The items.
        total: The number of `unit`s in all items.
        doing: The name of the step, such as `resize`.
        unit: The name of what is counted, in the plural. Defaults to photos.
        count: Returns the units of an item; `len` for batches. Defaults to one.

    Yields:
        Each item; it counts as done when the next one is drawn.
    """
    with Progress(total, doing, unit) as progress:
        for item in items:
            yield item
            progress.advance(count(item))
