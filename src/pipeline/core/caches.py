"""Bounds the caches below `.cache`: what was used the longest ago goes first."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

GB = 10**9
# Bytes of each cache. All that a run of 100,000 photos with the default params leaves fits several
# times; a small disk is full before, and then all of them may be deleted.
BOUNDS = {
    "downloads": 50 * GB,  # a server's time, and not everything is there for ever
    "features": 20 * GB,  # 14 kB a picture of the default networks; activations below blocks more
    "checkpoints": 2 * GB,  # of killed trainings: weights and optimizer, some 100 MB each
    "litert": 2 * GB,  # 20 to 100 MB a network
    "inspections": GB,  # 1 kB a photo
    "studies": GB // 10,  # 100 kB a search
}
_STARTED = time.time()


def prune(cache: Path, *names: str) -> None:
    """Removes from caches what is beyond their bounds, and prints what that frees.

    What this process has used stays, even if that alone is more: the next stage may need it.

    Args:
        cache: The folder of the caches.
        names: Those to look at, of `BOUNDS`.
    """
    for name in names:
        freed = _prune(cache / name, BOUNDS[name])
        if freed:
            print(
                f"{cache / name}: removed {len(freed)} entries not used of late, "
                f"{sum(freed) / 1e6:,.1f} MB, to stay within {BOUNDS[name] / 1e6:,.0f} MB"
            )


def _prune(folder: Path, bound: int) -> list[int]:
    """Removes the entries of a folder beyond so many bytes; returns the size of each."""
    entries = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix == ".sha256":  # what a download was the first time: some bytes, and trusted
            continue
        with suppress(FileNotFoundError):  # another process removes or finishes it
            status = {one: one.stat() for one in (path, *path.rglob("*"))}
            size = sum(status[one].st_size for one in status if not one.is_dir())
            entries.append((max(one.st_mtime for one in status.values()), size, path))
    freed, total = [], 0
    for last_used, size, path in sorted(entries, reverse=True):
        total += size
        if total > bound and last_used < _STARTED:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(True)
            freed.append(size)
    return freed
