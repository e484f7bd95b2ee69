"""One way to show how far a long step is."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 5.0


def track(items: Iterable[T], total: int, doing: str, unit: str = "photos") -> Iterator[T]:
    """Yields `items` and shows progress: a bar on a terminal, a line now and then in a log."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=doing, unit=f" {unit}")
        return
    started = told = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - told >= _SECONDS_BETWEEN_LINES:
            told = now
            rate = done / (now - started)
            left = (total - done) / rate
            print(
                f"{doing}: {done} of {total} {unit}, {rate:.0f}/s, {left:.0f} s left",
                file=sys.stderr,
            )
    print(f"{doing}: {done} {unit} in {time.monotonic() - started:.1f} s", file=sys.stderr)
