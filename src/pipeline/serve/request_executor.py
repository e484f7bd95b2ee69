"""Computes answers in threads, a few at a time."""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class RequestExecutor:
    """Computes answers first come, first served, as many at a time as there are cores.

    More at a time would slow each other down, and some would wait long for luck.

    Args:
        workers: Threads. Defaults to one a core.
    """

    def __init__(self, workers: int | None = None):
        self._threads = ThreadPoolExecutor(workers or os.cpu_count())

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Returns what a function returns, called in a thread, and raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
