"""What SIGKILL at random moments of register leaves, and how long a rollback takes.

Run it after `dvc repro`, in its folder. In a copy of the project a champion is registered, then the
stage is started with a challenger that passes the gate, and killed. After each kill stage and alias
must name versions that load and answer as they should, and the next run of the stage must end with
the challenger as champion. A rollback is timed as the command is typed, beside the import of
MLflow alone, which is most of it.

    python bench/kills_register.py --kills 10
"""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from project import PROJECT

from pipeline.core import workspace
from pipeline.inference import checksums
from pipeline.register import packaging

COPIED = ("data", "models/final", "reports", "params.yaml", "dvc.lock")
STATE = """
import json, mlflow, pandas as pd
from pipeline.register import audit_log
from pipeline.register import versions
staged = [version.number for version in versions.versions() if version.stage == "Production"]
model = mlflow.pyfunc.load_model("models:/animal/Production")
answer = model.predict(pd.DataFrame({"image": [open("photo", "rb").read()]}))
print(json.dumps({
    "staged": staged, "alias": versions.champion().number, "versions": len(versions.versions()),
    "answer": answer["species"][0], "logged": audit_log.moves()[-1].version,
}))
"""


def run(folder: Path, *command: str) -> str:
    """Runs a command in the copy and gives its output."""
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def timed(folder: Path, *command: str) -> float:
    started = time.monotonic()
    run(folder, *command)
    return time.monotonic() - started


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return kept | {"PYTHONPATH": str(PROJECT / "src")}


def state(folder: Path) -> dict:
    return json.loads(run(folder, sys.executable, "-c", STATE).splitlines()[-1])


def pixels(folder: Path, change: int) -> None:
    """Makes another version of the same network: it takes photos of so many pixels more."""
    labels = folder / "models/final/labels.json"
    about = json.loads(labels.read_text())
    about["max_pixels"] += change
    labels.write_text(json.dumps(about, indent=2) + "\n")
    checksums.write_checksums(labels.parent)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    versions = f"Python {platform.python_version()}, MLflow {importlib.metadata.version('mlflow')}"
    print(f"{os.cpu_count()} cores, {platform.machine()}, {versions}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in COPIED:
            copy = shutil.copytree if Path(name).is_dir() else shutil.copyfile
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            copy(name, folder / name)
        stage = [sys.executable, str(PROJECT / "stages/register.py")]
        root = workspace.collection_root(Path("data/ingested"))
        tested = packaging.read_table(Path("reports/predictions.csv"))
        shutil.copyfile(root / tested["path"][0], folder / "photo")
        run(folder, *stage)
        before = state(folder)
        shutil.copyfile(folder / "mlflow.db", folder / "first.db")
        pixels(folder, -1)
        undisturbed = timed(folder, *stage)
        former = state(folder)
        assert (former["staged"], former["alias"]) == ([2], 2), former
        animal = str(Path(sys.executable).with_name("animal"))
        rollback, importing = [], []
        for _ in range(arguments.repetitions):
            rollback.append(timed(folder, animal, "rollback"))
            after = state(folder)
            assert after | {"versions": 1, "logged": 1} == before, after
            importing.append(timed(folder, sys.executable, "-c", "import mlflow"))
            run(folder, animal, "promote", "2")
        took, least = statistics.median(rollback), statistics.median(importing)
        print(f"rollback {took:.2f} s, `import mlflow` alone {least:.2f} s, medians of", end=" ")
        print(f"{arguments.repetitions}; the former answer is back each time")
        print(f"register undisturbed: {undisturbed:.1f} s")
        for kill in range(arguments.kills):
            shutil.copyfile(folder / "first.db", folder / "mlflow.db")
            moment = chance.uniform(0, undisturbed)
            process = subprocess.Popen(
                stage,
                cwd=folder,
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            process.wait()
            left = state(folder)
            assert left["alias"] in (1, 2), left  # the stage may have to follow
            assert left["answer"] == before["answer"], left
            run(folder, *stage)
            healed = state(folder)
            assert (healed["staged"], healed["alias"], healed["logged"]) == ([2], 2, 2), healed
            print(
                f"kill {kill + 1:2d} after {moment:5.1f} s: version {left['alias']} serves, "
                f"{left['versions']} registered; the next run: version 2 serves"
            )


if __name__ == "__main__":
    main()
