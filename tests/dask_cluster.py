"""A real Dask cluster on this machine."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from pipeline.core import parallel

SOURCE = str(Path(parallel.__file__).parents[2])


class Cluster:
    """A Dask scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / "scheduler.json"
        self.workers: list[subprocess.Popen] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1")
        while not self.file.exists() or not self.file.read_text():
            assert self.scheduler.poll() is None
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]

    def work(self, count: int, path: str = SOURCE) -> None:
        """Starts workers, which find modules at `path`."""
        options = ("--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder))
        self.workers += [self._start("worker", *options, path=path) for _ in range(count)]

    def _start(self, what: str, *options: str, path: str = SOURCE) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", what, "--scheduler-file", str(self.file)]
        return subprocess.Popen(
            [*command, "--no-dashboard", *options],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": path},
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()
