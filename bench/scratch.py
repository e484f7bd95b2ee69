"""Training from random weights: the textbook's network and the residual one, on the same splits.

Runs the stages up to augment in a copy of the project, and then, for each network, train with the
lines of params.yaml that docs/scratch.md gives. Prints test accuracy and what train took, and draws
accuracy against minutes.

    python bench/scratch.py /path/to/photos --curve docs/scratch.png
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from accuracy import tested
from project import PROJECT, change, prepare
from ruamel.yaml import YAML

BACKBONES = ("scratch_resnet", "scratch_cnn")


def recipe() -> list[str]:
    """The lines that docs/scratch.md gives, as `section.key=value`."""
    written = re.search(r"```yaml\n(.*?)```", (PROJECT / "docs/scratch.md").read_text(), re.S)[1]
    sections = YAML(typ="safe").load(written)
    return [f"{name}.{key}={value}" for name in sections for key, value in sections[name].items()]


def stage(name: str, folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Runs a stage, and gives its seconds and CPU seconds."""
    started = time.monotonic()
    command = [sys.executable, f"stages/{name}.py"]
    said = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT, text=True
    )
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(printed)
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime


def runs(
    source: Path, seed: int, names: list[str], folder: Path, changes: list[str]
) -> tuple[list, list]:
    """A row of results and a history for each network."""
    environment = prepare(source, folder, [f"split.seed={seed}", *recipe(), *changes])
    for name in ("ingest", "resize", "split", "augment"):
        stage(name, folder, environment)
    rows, histories = [], []
    for name in names:
        change(folder, [f"model.backbone={name}"])
        seconds, cpu = stage("train", folder, environment)
        score = tested(folder, "trained")
        history = pd.read_csv(folder / "models/trained/history.csv")
        run = json.loads((folder / "models/trained/run.json").read_text())
        row = {"backbone": name, "seed": seed, "accuracy": score.accuracy}
        row |= {"log_loss": score.log_loss, "validation": run["validation"]["accuracy"]}
        row |= {"epochs": len(history), "minutes": seconds / 60, "cpu_minutes": cpu / 60}
        print(pd.DataFrame([row]).round(3).to_string(index=False), flush=True)
        rows.append(row)
        histories.append(history.assign(backbone=name, seed=seed))
    return rows, histories


def draw(histories: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    lines = {"val_accuracy": ("validation", "-"), "accuracy": ("training, altered", ":")}
    for colour, (name, runs) in enumerate(histories.groupby("backbone", sort=False)):
        for column, (what, style) in lines.items():
            for number, (_, run) in enumerate(runs.groupby("seed")):
                axes.plot(
                    run["seconds"] / 60,
                    run[column],
                    f"C{colour}{style}",
                    label=None if number else f"{name}, {what}",
                )
    axes.set(xlabel="minutes", ylabel="accuracy", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a collection of photos")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="split seeds")
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--set", nargs="*", default=[], help="params to change: resize.size=96")
    parser.add_argument("--curve", type=Path, help="a PNG, where to draw accuracy against minutes")
    arguments = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras"))
    lines = " ".join([*recipe(), *arguments.set])
    print(f"{platform.machine()}, {os.cpu_count()} cores; {versions}; {lines}")
    rows, histories = [], []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            source, names = arguments.source.resolve(), arguments.backbones
            done = runs(source, seed, names, Path(folder), arguments.set)
        rows += done[0]
        histories += done[1]
    shown = ["accuracy", "log_loss", "minutes", "cpu_minutes"]
    table = pd.DataFrame(rows).groupby("backbone", sort=False)[shown]
    print(f"\n{len(arguments.seeds)} split seeds, test, mean and standard error:")
    print(table.agg(["mean", "sem"]).round(3).to_string())
    if arguments.curve:
        draw(pd.concat(histories), arguments.curve)


if __name__ == "__main__":
    main()
