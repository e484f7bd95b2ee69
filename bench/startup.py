"""Measures how long `animal --help` takes, beside the same parser's libraries.

    python bench/startup.py

Prints the median of --repeat processes, wall and CPU seconds, of an empty Python, of Python that
imports argparse, Click or Typer, and of `animal --help`. What is not installed is left out.
"""

import argparse
import importlib.util
import resource
import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "python": ["-c", "pass"],
    "import argparse": ["-c", "import argparse"],
    "import click": ["-c", "import click"],
    "import typer": ["-c", "import typer"],
    "animal --help": ["-c", "from pipeline.cli import main; main()", "--help"],
}


def seconds(arguments: list[str]) -> tuple[float, float]:
    """Returns the wall and the CPU seconds of one process."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, used


def main() -> None:
    """Prints a row a program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=21, help="processes of each (default: 21)")
    repeat = parser.parse_args().repeat
    print(f"{'':<18} {'wall s':>7} {'CPU s':>7}")
    for name, arguments in PROGRAMS.items():
        library = name.removeprefix("import ")
        if name.startswith("import") and importlib.util.find_spec(library) is None:
            print(f"{name:<18} not installed")
            continue
        runs = [seconds(arguments) for _ in range(repeat)]
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:<18} {wall:>7.3f} {cpu:>7.3f}")


if __name__ == "__main__":
    main()
