"""Puts one-line bugs into the code, one at a time, and demands that a test catches each.

A suite that passes shows little unless it fails when the code is wrong. The bugs of every area are
listed in `bench/mutations/`, each with the tests that must notice it: a head that learns from the
photos that judge it, swapped shares, a test made on validation photos, a gate that lets anything
through. The tracked files are copied to a temporary folder, the listed tests must pass there as
long as nothing is changed, and must then fail by an assertion: a crash says that something is wrong
but not what. Exits with 1 if a bug is not caught.

    python bench/mutations.py                        # all areas
    python bench/mutations.py splitting registry     # or files in the same format, by path
    python bench/mutations.py training --only 3      # the third bug of that area
    python bench/mutations.py --jobs 2               # as many copies side by side

A verdict is one of: caught; SURVIVED (the tests pass with the bug in); not by an assertion (they
crash, or take longer than `--seconds`); text not found, or found twice (the list is older than the
code).
"""

import argparse
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).resolve().parent.parent
LISTS = REPOSITORY / "bench" / "mutations"
# Imported once; the process of each run is forked from the one that has them.
SLOW_TO_IMPORT = [
    "tensorflow",
    "keras",
    "mlflow.pyfunc.scoring_server",
    "optuna",
    "sklearn.metrics",
]
FORKS = multiprocessing.get_context("forkserver")
# How pytest's reports begin for an assertion, for `pytest.raises` without or with a wrong error; in
# a test or in its fixture.
ASSERTION = re.compile(r'(failed on setup with ")?(AssertionError|assert |Failed: )')


@dataclass(frozen=True)
class Mutation:
    """A bug to put in, as a list describes it, and where in the list it stands."""

    area: str
    number: int
    file: str
    bug: str
    was: str
    becomes: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What the tests did: whether they passed, else what the first failure was, and where."""

    passed: bool
    test: str = ""
    message: str = ""

    @property
    def asserted(self) -> bool:
        return bool(ASSERTION.match(self.message))


def load(name: str) -> list[Mutation]:
    """Reads an area's list, given by its name or as the path of a file."""
    path = Path(name) if name.endswith(".yaml") else LISTS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in LISTS.glob("*.yaml"))) or "none"
        sys.exit(f"error: there is no {path}; areas: {known}")
    rows = YAML(typ="safe").load(path) or []
    return [
        Mutation(path.stem, number, **row | {"tests": tuple(row["tests"])})
        for number, row in enumerate(rows, start=1)
    ]


def copy_tree(folder: Path) -> Path:
    """Copies the tracked files, beside a link to the real photos that some tests look at."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    copy = folder / "project"
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, copy / name)
    shared = REPOSITORY.parent / "shared"
    if shared.exists():
        (folder / "shared").symlink_to(shared)
    return copy


def run_pytest(copy: Path, tests: tuple[str, ...], report: Path) -> None:
    """Runs tests up to the first failure, in a process of its own, and exits as pytest does."""
    os.setsid()  # a process group, to be stopped together
    log = os.open(copy.parent / "log.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(copy)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # Bytecode is told apart by a file's size and second of change: too coarse for such edits.
    os.environ |= {"PATH": path, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(copy / "src"))
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    sys.exit(int(pytest.main([*options, *tests])))


def run_tests(copy: Path, tests: tuple[str, ...], seconds: float) -> Outcome:
    """Runs tests up to the first failure."""
    report = copy.parent / "report.xml"
    report.unlink(missing_ok=True)
    process = FORKS.Process(target=run_pytest, args=(copy, tests, report))
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        return Outcome(False, message=f"still running after {seconds:.0f} s")
    if process.exitcode == 0:
        return Outcome(True)
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):
            for kind in ("failure", "error"):
                if (problem := case.find(kind)) is not None:
                    test = f"{case.get('classname')}::{case.get('name')}"
                    return Outcome(False, test, problem.get("message", ""))
    output = (copy.parent / "log.txt").read_text(errors="replace")
    return Outcome(False, message=(output.strip().splitlines() or ["no output"])[-1])


def changed(source: str, was: str, becomes: str) -> str:
    """Replaces text that occurs once: whole lines at any depth, else a part of a line.

    YAML takes away what all lines of a text are indented by.

    Raises:
        LookupError: The text is not there, or several times.
    """
    source = "\n" + source
    part, other = was.removesuffix("\n"), becomes.removesuffix("\n")
    depths = {len(spaces) for spaces in re.findall(r"^ *", source, re.MULTILINE)}
    lines = [
        (old, "\n" + textwrap.indent(becomes, " " * depth))
        for depth in sorted(depths)
        if was.endswith("\n") and (old := "\n" + textwrap.indent(was, " " * depth)) in source
    ]
    found = lines or [(part, other)]
    if found[0][0] not in source:
        raise LookupError("text not found")
    if len(found) > 1 or source.count(found[0][0]) > 1:
        raise LookupError("text found twice")
    return source.replace(*found[0])[1:]


def judge(mutation: Mutation, copy: Path, seconds: float) -> tuple[str, Outcome | None]:
    """Applies a bug to a copy, runs its tests, takes it out again, and names the verdict."""
    file = copy / mutation.file
    before = file.read_text() if file.is_file() else ""
    try:
        file.write_text(changed(before, mutation.was, mutation.becomes))
    except LookupError as problem:
        return str(problem), None
    try:
        outcome = run_tests(copy, mutation.tests, seconds)
    finally:
        file.write_text(before)
    if outcome.passed:
        return "SURVIVED", outcome
    return "caught" if outcome.asserted else "not by an assertion", outcome


def unchanged_pass(mutations: list[Mutation], copies: SimpleQueue, arguments) -> bool:
    """Says whether all listed tests pass on unchanged copies, and prints the first that does not.

    Each copy runs a share of the files in one process, so that imports and fixtures are shared.
    """

    def check(tests: list[str]) -> Outcome:
        copy = copies.get()
        try:
            return run_tests(copy, tuple(tests), seconds=len(tests) * arguments.seconds)
        finally:
            copies.put(copy)

    files: dict[str, set[str]] = {}
    for test in {test for mutation in mutations for test in mutation.tests}:
        files.setdefault(test.split("::")[0], set()).add(test)
    # A file that is listed as a whole needs no mention of its tests.
    listed = [[file] if file in tests else sorted(tests) for file, tests in sorted(files.items())]
    shares = [list(chain(*listed[i :: arguments.jobs])) for i in range(arguments.jobs)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = list(pool.map(check, filter(None, shares)))
    for outcome in outcomes:
        if not outcome.passed:
            print(f"fails on the unchanged code: {explain(outcome)}")
    return all(outcome.passed for outcome in outcomes)


def explain(outcome: Outcome) -> str:
    """Gives a failure in one line."""
    message = " ".join(outcome.message.split())
    return f"{outcome.test}: {message}"[:160] if outcome.test else message[:160]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("areas", nargs="*", help="names of lists, or paths; all by default")
    parser.add_argument("--only", type=int, help="the bug of this number in each list")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600, help="the most for one bug's tests")
    arguments = parser.parse_args()
    areas = arguments.areas or sorted(file.stem for file in LISTS.glob("*.yaml"))
    mutations = [
        mutation
        for area in areas
        for mutation in load(area)
        if arguments.only in (None, mutation.number)
    ]
    if not mutations:
        sys.exit("error: no bug is listed under that number")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    FORKS.set_forkserver_preload(SLOW_TO_IMPORT)
    with tempfile.TemporaryDirectory() as temporary:
        copies = SimpleQueue()
        for job in range(arguments.jobs):
            copies.put(copy_tree(Path(temporary) / str(job)))
        if not unchanged_pass(mutations, copies, arguments):
            sys.exit("error: mend these tests first, a bug could not be told from what is there")

        def tried(mutation: Mutation) -> str:
            copy, started = copies.get(), time.monotonic()
            try:
                verdict, outcome = judge(mutation, copy, arguments.seconds)
            finally:
                copies.put(copy)
            took = time.monotonic() - started
            name = f"{mutation.area} {mutation.number}"
            print(f"{name:<16}{verdict:<21}{took:6.1f} s  {mutation.bug}", flush=True)
            if outcome and not outcome.passed:
                print(f"{'':<16}{explain(outcome)}", flush=True)
            return verdict

        with ThreadPoolExecutor(arguments.jobs) as pool:
            verdicts = list(pool.map(tried, mutations))
    caught = verdicts.count("caught")
    print(f"{caught} of {len(verdicts)} bugs caught")
    sys.exit(caught < len(verdicts))


if __name__ == "__main__":
    main()
