"""Runs a stage's script and writes down how long it took, so that one knows the next time."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipeline.core import atomic, errors

SECONDS = Path(".cache/stage_seconds.json")


def run(main: Callable[[], None]) -> None:
    """Runs `main` of a script in `stages/` as `errors.run` does, and stores its seconds.

    Args:
        main: What to run.

    Raises:
        SystemExit: A person's mistake ended it, or it had nothing to do; nothing is stored.
    """
    started = time.monotonic()
    errors.run(main)
    name = Path(main.__code__.co_filename).stem
    seconds = read() | {name: round(time.monotonic() - started, 1)}
    with suppress(OSError), atomic.atomic_write(SECONDS) as partial:  # the stage is done anyway
        partial.write_text(json.dumps(seconds) + "\n", encoding="utf-8")


def read() -> dict[str, float]:
    """Returns the seconds that each stage took the last time, by its name."""
    try:
        return json.loads(SECONDS.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no stage has run, or power was cut
        return {}
