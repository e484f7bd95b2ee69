"""Whether the server answers every test photo, sent as its original file, as evaluate wrote down.

Run it after `dvc repro`, in its folder; its arguments go to `mlflow models serve`:

    python bench/answers.py                           # exactly `mlflow models serve -m ...`
    python bench/answers.py --env-manager local
"""

import sys
from pathlib import Path

import pandas as pd
from servers import about, ask, family, served

from pipeline.core import workspace
from pipeline.register import packaging


def loads_tensorflow(pid: int) -> bool:
    """Whether a process, or one it started, has TensorFlow's libraries in its memory."""
    return any("tensorflow" in Path(f"/proc/{known}/maps").read_text() for known in family(pid))


def main() -> None:
    root = workspace.collection_root(Path("data/ingested"))
    table = packaging.read_table(Path("reports/predictions.csv"))
    with served("models:/animal/Production", *sys.argv[1:]) as (address, pid, ready):
        rows = [ask(address, about((root / path).read_bytes()))[0][0] for path in table["path"]]
        tensorflow = loads_tensorflow(pid)
    answered = pd.DataFrame(rows)
    same = int((answered["species"] == table["predicted"]).sum())
    apart = float((answered["probability"] - table["probability"]).abs().max())
    print(f"ready after {ready:.1f} s; TensorFlow loaded: {tensorflow}")
    print(f"{same} of {len(table)} labels as evaluated, probabilities at most {apart:.1e} apart")
    sys.exit(same != len(table) or tensorflow)


if __name__ == "__main__":
    main()
