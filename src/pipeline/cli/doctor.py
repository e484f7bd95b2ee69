"""`animal doctor`: checks the installation, and says what to do about what is missing."""

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.cli.parser import Commands

_PYTHON = ((3, 11), (3, 14))  # from, and below
_MEMORY_GB, _DISK_GB = 4, 10  # a run of the demo takes 2.5 GB; packages, DVC's cache and features
_TENSORFLOW_SECONDS = 120
_PLACES = ("data", "models", "reports", "mlruns", ".cache", ".dvc")
_COUNT_GPUS = "import tensorflow as t; print(len(t.config.list_physical_devices('GPU')))"
_COLOURS = {"ok": 32, "note": 33, "wrong": 31}  # green, yellow, red


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        state: `ok`, `note` (something is missing that one may not need) or `wrong`.
        observed: What there is, in a few words.
        advice: What to do; empty where all is well.
    """

    state: Literal["ok", "note", "wrong"]
    observed: str
    advice: str = ""


def add(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="check the installation, and say what to do",
        example="doctor --json",
        epilog="Exit codes: 0 all is well, or there are notes; 1 something is wrong.",
    )
    doctor.add_argument("--json", action="store_true", help="print it for a script")


def run(arguments: argparse.Namespace) -> None:
    findings = {name: check() for name, check in CHECKS.items()}
    if arguments.json:
        rows = [{"check": name, **finding._asdict()} for name, finding in findings.items()]
        print(json.dumps(rows, indent=2))
    else:
        for name, finding in findings.items():
            state = coloured(f"{finding.state:<5}", _COLOURS[finding.state])
            advice = f"\n{'':<18}{finding.advice}" if finding.advice else ""
            print(f"{state} {name:<11} {finding.observed}{advice}")
    sys.exit(any(finding.state == "wrong" for finding in findings.values()))


def coloured(text: str, code: int) -> str:
    """Returns a text in one of ANSI's colours, or as it is in a file, which wants plain text."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def python() -> Finding:
    """Checks Python's version, and whether it is that of the project's environment."""
    observed = f"{sys.version.split()[0]} in {sys.prefix}"
    if not _PYTHON[0] <= sys.version_info[:2] < _PYTHON[1]:
        return Finding("wrong", observed, "run `make setup PYTHON=python3.12`: 3.11 to 3.13")
    made_in = Path(".venv/ready")
    if made_in.is_file() and made_in.read_text().strip() != str(Path.cwd().resolve()):
        return Finding("wrong", observed, "the project was moved: run `make setup`")
    return Finding("ok", observed)


def packages() -> Finding:
    """Checks that what the project depends on is installed."""
    from importlib import metadata  # it takes a tenth of the time that `animal --help` has

    try:
        required = metadata.requires("animal") or []
    except metadata.PackageNotFoundError:
        return Finding("wrong", "the project is not installed", "run `make setup`")
    names = [re.split(r"[\[<>=~!; ]", line)[0] for line in required if "extra ==" not in line]
    missing = [name for name in names if not any(metadata.distributions(name=name))]
    if missing:
        return Finding("wrong", f"missing: {', '.join(missing)}", "run `make setup`")
    return Finding("ok", f"all {len(names)} that it depends on")


def params() -> Finding:
    """Checks params.yaml."""
    from pipeline.core import errors
    from pipeline.core import params as checked

    try:
        source = checked.load().ingest.source
    except errors.UserError as error:
        return Finding("wrong", str(error).splitlines()[0], "mend this line")
    if not Path(source).exists():
        return Finding("wrong", f"there is no {source}", "name another by `animal use PATH`")
    return Finding("ok", f"ingest.source is {source}")


def memory() -> Finding:
    """Checks the memory of this machine, or what a container may use of it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        limit = Path(path)
        if limit.is_file() and limit.read_text().strip().isdigit():
            total = min(total, int(limit.read_text()))
    observed = f"{total / 1e9:.1f} GB"
    if total < _MEMORY_GB * 1e9:
        advice = "lower augment.copies and train.batch_size, or take a larger machine"
        return Finding("note", observed, advice)
    return Finding("ok", observed)


def cores() -> Finding:
    """Counts the cores that this process may use."""
    usable = getattr(os, "sched_getaffinity", None)  # only Linux knows
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return Finding("ok", str(count))


def gpu() -> Finding:
    """Checks that TensorFlow sees a GPU where there is one, in a process of its own."""
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia/version").exists():
        return Finding("ok", "none; heads on frozen networks train in seconds without one")
    import subprocess

    try:
        run = subprocess.run(
            [sys.executable, "-c", _COUNT_GPUS],
            capture_output=True,
            text=True,
            timeout=_TENSORFLOW_SECONDS,
        )
        count = int(run.stdout.split()[-1]) if run.returncode == 0 else 0
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        count = 0
    if count:
        return Finding("ok", f"TensorFlow sees {count}")
    advice = "run `pip install 'tensorflow[and-cuda]'` with the version that is installed"
    return Finding("note", "there is one, and TensorFlow does not see it", advice)


def weights() -> Finding:
    """Checks that the weights to start from are on this machine."""
    from pipeline.core import errors
    from pipeline.core import params as checked
    from pipeline.networks import backbones

    try:
        model = checked.load().model
        name = backbones.chosen(model.backbone)
        at_hand = backbones.get(name).weights_at_hand()
    except errors.UserError as error:
        return Finding("wrong", str(error).splitlines()[0], "mend params.yaml")
    observed = f"{model.weights} for {name}"
    if model.weights == "imagenet" and at_hand is False:
        advice = (
            "Keras downloads them at first use; where there is no network, train says what to do"
        )
        return Finding("note", f"{observed} are not here", advice)
    return Finding("ok", observed)


def places() -> Finding:
    """Checks that the project can write where it must."""
    there = [Path(name) for name in (".", *_PLACES) if Path(name).exists()]
    locked = [str(path) for path in there if not os.access(path, os.W_OK | os.X_OK)]
    if locked:
        advice = f"give yourself the right: chmod -R u+rwX {' '.join(locked)}"
        return Finding("wrong", f"not writable: {', '.join(locked)}", advice)
    return Finding("ok", f"{Path.cwd()} can be written")


def disk() -> Finding:
    """Checks the space on the disk."""
    free = shutil.disk_usage(".").free
    observed = f"{free / 1e9:,.1f} GB free"
    if free < _DISK_GB * 1e9:
        advice = "free some: .cache may be deleted, and `dvc gc --workspace` removes old outputs"
        return Finding("note", observed, advice)
    return Finding("ok", observed)


def programs() -> Finding:
    """Checks for the programs that stages and commands start."""
    missing = [name for name in ("dvc", "git") if shutil.which(name) is None]
    if missing:
        advice = "run `. .venv/bin/activate`" if "dvc" in missing else "install git"
        return Finding("wrong", f"not on the PATH: {', '.join(missing)}", advice)
    return Finding("ok", "dvc and git")


def serving() -> Finding:
    """Checks for pyenv, by which MLflow makes an environment of a version's own."""
    if shutil.which("pyenv") is None:
        advice = "add --env-manager local to `mlflow models serve`, or install pyenv; "
        return Finding("note", "no pyenv", advice + "`animal serve` needs none")
    return Finding("ok", "pyenv")


CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": python,
    "packages": packages,
    "programs": programs,
    "params.yaml": params,
    "memory": memory,
    "cores": cores,
    "GPU": gpu,
    "weights": weights,
    "folders": places,
    "disk": disk,
    "serving": serving,
}
