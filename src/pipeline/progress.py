"""One way to show how far a long step is."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 5.0


def track(
    items: Iterable[T],
    total: int,
    doing: str,
    unit: str = "photos",
    count: Callable[[T], int] = lambda item: 1,
) -> Iterator[T]:
    """Yields `items` and shows progress: a bar on a terminal, a line now and then in a log.

    Args:
        items: What is worked through.
        total: How many there are, in `unit`s.
        doing: What is being done.
        unit: What is counted.
        count: How many units an item is; `len` for batches. Defaults to one.
    """
    with tqdm(total=total, desc=doing, unit=f" {unit}", disable=not sys.stderr.isatty()) as bar:
        started = told = time.monotonic()
        done = 0
        for item in items:
            yield item
            done += count(item)
            bar.update(count(item))
            now = time.monotonic()
            if bar.disable and now - told >= _SECONDS_BETWEEN_LINES:
                told, rate = now, done / (now - started)
                left = f"{rate:.0f}/s, {(total - done) / rate:.0f} s left"
                print(f"{doing}: {done} of {total} {unit}, {left}", file=sys.stderr)
    if bar.disable and total:
        print(f"{doing}: {done} {unit} in {time.monotonic() - started:.1f} s", file=sys.stderr)
