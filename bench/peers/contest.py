"""What all peers are given, and how each hands in what it made of it.

A peer is a script beside this file, run in a virtual environment of its own. So this file imports
nothing but Python's own library.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARGIN = 0.9  # of the time left that a peer plans to use: epochs do not all take the same


class Contest:
    """Photos, and the time in which to learn from them.

    The clock runs from the peer's start, so that it counts imports and the reading of photos too.

    Args:
        photos: Folders train, validation and test, each with a folder a species.
        minutes: Time to learn in.
        result: The JSON file to write in the end.
        started: When the peer was started, in seconds since the epoch.
    """

    def __init__(self, photos: Path, minutes: float, result: Path, started: float):
        self.photos, self.minutes, self._result = photos, minutes, result
        self._started, self._uncounted = started, 0.0

    @classmethod
    def from_arguments(cls) -> "Contest":
        """The contest that the command line tells of, as bench/peers.py wrote it."""
        parser = argparse.ArgumentParser()
        parser.add_argument("photos", type=Path)
        parser.add_argument("minutes", type=float)
        parser.add_argument("result", type=Path)
        parser.add_argument("started", type=float)
        return cls(**vars(parser.parse_args()))

    @property
    def species(self) -> list[str]:
        """All species, sorted."""
        return sorted(path.name for path in (self.photos / "train").iterdir())

    def seconds(self) -> float:
        """Seconds on the clock."""
        return time.time() - self._started - self._uncounted

    def left(self) -> float:
        """Seconds that may be planned with."""
        return MARGIN * (self.minutes * 60 - self.seconds())

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Stops the clock: whoever trains often knows how long an epoch takes."""
        before = time.time()
        yield
        self._uncounted += time.time() - before

    def hand_in(self, recognise: Callable[[list[Path]], list[str]] | None, done: str) -> None:
        """Stops the clock, and tests.

        Args:
            recognise: Tells the species of photos; None if there was no time to learn any.
            done: What was done, in a few words.
        """
        result = {"seconds": self.seconds(), "done": done}
        if recognise is not None:
            paths = sorted((self.photos / "test").glob("*/*"))
            said = zip(paths, recognise(paths), strict=True)
            result["accuracy"] = sum(path.parent.name == name for path, name in said) / len(paths)
        self._result.write_text(json.dumps(result))
