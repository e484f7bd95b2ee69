"""Imports libraries without what they would load for nothing."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Has imports of packages fail while the block lasts, unless they are there already.

    For libraries that import a package if it is installed, and need it for nothing that is done
    here. What they conclude from its absence stays. All threads miss it meanwhile.
    """
    names = [name for name in packages if name not in sys.modules]
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(names))  # None is Python's own sign of a module that is missing
    try:
        yield
    finally:
        for name in names:
            modules.pop(name, None)
