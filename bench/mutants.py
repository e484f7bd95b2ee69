"""Counts what the fast tests notice of many small changes that mutmut makes to the code.

mutmut makes every change that it knows (another operator, number, argument, condition ...) to the
functions of the modules that `[tool.mutmut]` in pyproject.toml names, and runs for each the fast
tests that call the changed function. A change that no test notices survives: a missing test, or a
change that nobody could see; docs/mutants.md lists the latter. This draws a sample, since
there are thousands, and prints the share killed in each module, then the survivors as diffs.

    make mutants                                  # 400 of all
    make mutants MODULES="split register.gate" SAMPLE=0   # all of two modules (or of a package)
    python bench/mutants.py --seed 1              # another sample

mutmut works in the folder `mutants/`, which goes on from where it was: after a change to the tests
only survivors need another look, by `mutmut run NAME`; after one to the code, remove the folder.
"""

import argparse
import collections
import json
import random
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "mutants"
MUTMUT = (sys.executable, "-m", "mutmut")
KILLED = {"killed", "timeout"}
EXPECTED = KILLED | {"survived", "no tests"}


def mutmut(*arguments: str) -> str:
    """Runs mutmut in the repository and gives what it printed."""
    done = subprocess.run([*MUTMUT, *arguments], cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: mutmut failed\n{done.stdout}{done.stderr}")
    return done.stdout


def make_all() -> list[str]:
    """Makes all mutants, lets mutmut see which test calls what, and gives the mutants' names."""
    # mutmut does so only as part of a run: one of a mutant that there is not ends after that.
    command = [*MUTMUT, "run", "none of these"]
    done = subprocess.run(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    if "nothing matches" not in done.stderr:
        sys.exit(f"error: mutmut could not begin\n{done.stderr}")
    described = (json.loads(path.read_text()) for path in FOLDER.rglob("*.meta"))
    return sorted(name for about in described for name in about["exit_code_by_key"])


def module(mutant: str) -> str:
    """Gives the name of a mutant's module below `pipeline`: `split.assignment`."""
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
    mutants = [name for name in make_all() if among(module(name), arguments.modules)]
    if not mutants:
        sys.exit(f"error: no mutants in {arguments.modules}; see [tool.mutmut] in pyproject.toml")
    drawn = mutants
    if 0 < arguments.sample < len(mutants):
        drawn = sorted(random.Random(arguments.seed).sample(mutants, arguments.sample))
    print(f"{len(drawn)} of {len(mutants)} mutants, seed {arguments.seed}", flush=True)
    command = [*MUTMUT, "run", "--max-children", str(arguments.jobs), *drawn]
    if subprocess.run(command, cwd=REPOSITORY).returncode:
        sys.exit("error: mutmut failed, see above")
    listed = re.findall(r"^ *(\S+): (.+)$", mutmut("results", "--all", "true"), re.MULTILINE)
    statuses = dict(listed)
    report({name: statuses[name] for name in drawn})


if __name__ == "__main__":
    main()
