"""Kills ingest, resize and augment at random moments; the next run must give the same bytes.

Each stage is killed with SIGKILL, and all its processes with it, at moments drawn evenly over the
time that an undisturbed run takes. Then it runs again, and every file that it wrote is compared
with that run's. DVC's part is played too: outputs that dvc.yaml does not call `persist` are removed
before a stage starts. The photos come as an archive, which ingest unpacks.

    python bench/kills.py                           # ten kills a stage, some 3 minutes
    python bench/kills.py --kills 2 --photos 60
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from project import PROJECT, change

from pipeline.sources.recipes.synthetic.collection import Drawn, draw

STAGES = {
    "ingest": ("data/ingested", "reports/ingest"),
    "resize": ("data/resized",),
    "split": ("data/split.parquet", "reports/split"),
    "augment": ("data/augmented", "reports/augment"),
}
PERSISTENT = ("data/ingested", "data/resized", "data/augmented")  # DVC leaves these to the stages
KILLED = ("ingest", "resize", "augment")
SPECIES = ["cat", "fish", "owl", "zebra"]


def prepare(project: Path, photos: int) -> None:
    recipe = Drawn(
        species=SPECIES,
        per_species=photos // 4,
        size=160,
        seed=5,
        exact_duplicates=2,
        near_duplicates=2,
        broken=2,
    )
    draw(recipe, project / "photos", -1)
    shutil.make_archive(str(project / "photos"), "zip", project / "photos")
    change(project, ["ingest.source=photos.zip", "ingest.min_per_species=3"])


def start(project: Path, stage: str) -> subprocess.Popen:
    for output in set(STAGES[stage]) - set(PERSISTENT):
        path = project / output
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return subprocess.Popen(
        [sys.executable, PROJECT / "stages" / f"{stage}.py"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a process group, to be killed together
    )


def finish(project: Path, stage: str) -> float:
    started = time.perf_counter()
    if start(project, stage).wait():
        sys.exit(f"{stage} failed")
    return time.perf_counter() - started


def written(project: Path, stage: str) -> dict[str, str]:
    """Every file below a stage's outputs, left-overs included, by the hash of its bytes."""
    places = [project / output for output in STAGES[stage]]
    files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
    files += [file for place in places for file in place.parent.glob(f".{place.name}*")]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def kill(project: Path, stage: str, seconds: float) -> bool:
    """Kills a stage after some seconds. Returns whether it was still running."""
    process = start(project, stage)
    time.sleep(seconds)
    alive = process.poll() is None
    if alive:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return alive


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--photos", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        prepare(project, arguments.photos)
        for stage in STAGES:
            shutil.rmtree(project / ".cache", ignore_errors=True)
            usual = finish(project, stage)
            if stage not in KILLED:
                continue
            expected, killed, same = written(project, stage), 0, 0
            for _ in range(arguments.kills):
                shutil.rmtree(project / ".cache", ignore_errors=True)
                killed += kill(project, stage, moments.uniform(0, usual))
                finish(project, stage)
                same += written(project, stage) == expected
            different += arguments.kills - same
            print(f"{stage:8s} {usual:5.1f} s, {killed} killed, {same} of {arguments.kills} same")
    sys.exit(different > 0)


if __name__ == "__main__":
    main()
