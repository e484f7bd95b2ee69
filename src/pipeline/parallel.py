"""One way to spread work over the cores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import joblib

T = TypeVar("T")
R = TypeVar("R")


def chunks(items: Sequence[T], length: int) -> list[Sequence[T]]:
    """Cuts `items` into runs of `length`; the last may be shorter."""
    return [items[i : i + length] for i in range(0, len(items), length)]


def each(function: Callable[[T], R], items: Iterable[T], jobs: int = 1) -> Iterator[R]:
    """Yields `function(item)` for every item, in the order of the items.

    Args:
        function: A module-level function, or a `functools.partial` of one.
        items: What to work on, asked for as the work goes. Make each worth some milliseconds.
        jobs: Processes to use; -1 uses every core. Defaults to 1, which starts none.
    """
    yield from joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator")(
        joblib.delayed(function)(item) for item in items
    )
