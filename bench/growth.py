"""Time and memory of all eight stages by the number of photos.

Photos are those that `bench/scale.py` makes, in ten class folders; nothing in them is alike. Each
stage runs as DVC runs it, in an empty project, at 64 px, with EfficientNet-Lite0 and three trials,
so that what the pipeline adds to a forward pass is seen. Its memory is the largest sum over its
processes, without files that are mapped: the system drops those where the room is needed.

    python bench/growth.py                      # 1,000 and 10,000 photos
    python bench/growth.py --photos 100000
    python bench/growth.py --photos 1000000 --until augment  # what needs no network; 50 GB of disk
"""

import argparse
import os
import tempfile
from pathlib import Path

import pandas as pd
from project import change
from scale import HELD, make_all, prepare, run

STAGES = ("ingest", "resize", "split", "augment", "train", "tune", "evaluate", "register")
BACKBONE = "efficientnet_lite0"
CHANGES = [
    f"model.backbone={BACKBONE}",
    "tune.trials=3",
    "tune.stop_below=0",
    f"tune.space={{model.backbone: {{choices: [{BACKBONE}]}}}}",
]


def measure(folder: Path, count: int, stages: tuple[str, ...]) -> list[dict]:
    """Runs stages on so many new photos."""
    photos, project = folder / f"photos{count}", folder / f"project{count}"
    make_all(photos, range(count))
    prepare(project, photos)
    change(project, CHANGES)
    rows = []
    for stage in stages:
        seconds, peak = run(project, stage, HELD)
        rows.append({"stage": stage, "photos": count, "s": seconds, "MB": peak})
        print(f"{count:,} photos, {stage}: {seconds:.1f} s, {peak:,.0f} MB", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", nargs="+", type=int, default=[1_000, 10_000])
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage")
    parser.add_argument("--folder", type=Path, help="where to; defaults to the system's own")
    arguments = parser.parse_args()
    stages = STAGES[: STAGES.index(arguments.until) + 1]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = [row for count in arguments.photos for row in measure(Path(folder), count, stages)]
    table = pd.DataFrame(rows).pivot(index="stage", columns="photos").loc[list(stages)]
    each = table["s"] * 1000 / table["s"].columns
    print(f"\n{os.cpu_count()} cores")
    for unit, shown in (("seconds", table["s"]), ("ms a photo", each), ("MB", table["MB"])):
        print(f"{unit}:\n{shown.round(2).to_string()}\n")


if __name__ == "__main__":
    main()
