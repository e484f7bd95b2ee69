"""Counts what the fast tests notice of many small changes that mutmut makes to the code.

mutmut makes every change that it knows (another operator, number, argument, condition ...) to the
functions of the modules that `[tool.mutmut]` in pyproject.toml names, and runs for each the fast
tests that call the changed function. A change that no test notices survives: a missing test, or a
change that nobody could see; docs/mutants.md lists the latter. This draws a sample, since all take
many hours, and prints the share killed in each module, then the survivors as diffs.

    make mutants                                  # 400 of all, within an hour on two cores
    make mutants MODULES="splits gate" SAMPLE=0   # all of two modules (or of a package)
    python bench/mutants.py --seed 1              # another sample

mutmut works in the folder `mutants/`, which goes on from where it was: after a change to the tests
only survivors need another look, by `mutmut run NAME`; after one to the code, remove the folder.
"""

import argparse
import collections
import random
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
NONE = "none of these"  # no mutant has such a name
KILLED = {"killed", "timeout"}
EXPECTED = KILLED | {"survived", "no tests"}


def mutmut(*arguments: str, show: bool = False) -> str:
    """Runs mutmut in the repository and gives what it printed, or shows that at once."""
    command = [sys.executable, "-m", "mutmut", *arguments]
    pipe = None if show else subprocess.PIPE
    done = subprocess.run(command, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True)
    if done.returncode and NONE not in arguments:
        sys.exit(f"error: mutmut failed\n{done.stdout or ''}{done.stderr or ''}")
    return done.stdout or ""


def estimates() -> dict[str, bool]:
    """Gives all mutants, and whether a test calls what they change."""
    # mutmut makes mutants, and learns what each test calls, only as part of a run.
    mutmut("run", NONE, show=True)
    lines = mutmut("print-time-estimates").splitlines()
    found = [re.fullmatch(r"(<no tests>|\d+ms) (\S+)", line.strip()) for line in lines]
    return {match[2]: match[1] != "<no tests>" for match in found if match}


def module(mutant: str) -> str:
    """Gives the name of a mutant's module below `pipeline`: `splits`, or `split.assignment`."""
    return mutant.rpartition(".")[0].partition(".")[2]


def among(name: str, modules: list[str]) -> bool:
    return not modules or any(f"{name}.".startswith(f"{chosen}.") for chosen in modules)


def report(statuses: dict[str, str]) -> None:
    """Prints the share killed in each module, then the survivors."""
    by_module = collections.defaultdict(collections.Counter)
    for mutant, status in statuses.items():
        by_module[module(mutant)][status] += 1
    print(f"\n{'module':<28}{'mutants':>8}{'killed':>8}{'survived':>10}{'no test':>9}{'rate':>7}")
    for name, counts in [*sorted(by_module.items()), ("all", sum_of(by_module.values()))]:
        killed = sum(counts[status] for status in KILLED)
        others = f"{counts['survived']:>10}{counts['no tests']:>9}"
        total = counts.total()
        print(f"{name:<28}{total:>8}{killed:>8}{others}{killed / total:>7.0%}")
    for mutant, status in statuses.items():
        if status not in KILLED:
            print(f"\n{mutmut('show', mutant).strip()}")
    if odd := {mutant: status for mutant, status in statuses.items() if status not in EXPECTED}:
        print(f"\nneither killed nor survived: {odd}")


def sum_of(counters) -> collections.Counter:
    total = collections.Counter()
    for counter in counters:
        total.update(counter)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modules", nargs="*", default=[], help="of pipeline; all by default")
    parser.add_argument("--sample", type=int, default=400, help="how many mutants, 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    tested = {
        mutant: called
        for mutant, called in sorted(estimates().items())
        if among(module(mutant), arguments.modules)
    }
    if not tested:
        sys.exit(f"error: no mutants in {arguments.modules}; see [tool.mutmut] in pyproject.toml")
    drawn = list(tested)
    if 0 < arguments.sample < len(drawn):
        drawn = sorted(random.Random(arguments.seed).sample(drawn, arguments.sample))
    print(f"{len(drawn)} of {len(tested)} mutants, seed {arguments.seed}", flush=True)
    run = [mutant for mutant in drawn if tested[mutant]]
    if run:
        mutmut("run", "--max-children", str(arguments.jobs), *run, show=True)
    listed = re.findall(r"^ *(\S+): (.+)$", mutmut("results", "--all", "true"), re.MULTILINE)
    known = dict(listed)
    report({name: known.get(name, "") if tested[name] else "no tests" for name in drawn})


if __name__ == "__main__":
    main()
