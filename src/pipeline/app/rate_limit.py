"""Limits how many requests an address may send."""

import time
from collections import OrderedDict
from collections.abc import Callable

_ADDRESSES = 10_000  # that are remembered; the one that was silent longest is forgotten first


class RateLimit:
    """A token bucket for each address.

    Args:
        per_second: How many requests an address may send in the long run.
        burst: How many at once.
        clock: Returns seconds. Defaults to `time.monotonic`.
    """

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ):
        self._per_second, self._burst, self._clock = per_second, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """Counts a request.

        Args:
            address: Who sends it.

        Returns:
            0 if it may pass, else the seconds after which the next one may.
        """
        now = self._clock()
        tokens, last = self._buckets.pop(address, (self._burst, now))
        tokens = min(self._burst, tokens + (now - last) * self._per_second)
        passes = tokens >= 1
        self._buckets[address] = (tokens - passes, now)
        while len(self._buckets) > _ADDRESSES:
            self._buckets.popitem(last=False)
        return 0.0 if passes else (1 - tokens) / self._per_second
