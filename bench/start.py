"""How soon `mlflow models serve --env-manager local` answers, and what memory it takes.

Beside the champion, in turn: a model that does nothing at all, which shows what of the time is
MLflow's own. Then the champion answers a photo many times, and its memory is looked at.

    dvc repro
    python bench/start.py photo.jpg
"""

import argparse
import asyncio
import importlib.metadata
import json
import os
import statistics
import tempfile
from pathlib import Path

from load import clients, request
from servers import about, memory, served

from pipeline.core import tracking

LOCAL = ("--env-manager", "local")
NOTHING = """
import mlflow

class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [0] * len(model_input)

mlflow.models.set_model(Nothing())
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photo", type=Path)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--requests", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nothing.py").write_text(NOTHING)
        nothing = str(Path(folder) / "model")
        code = str(Path(folder) / "nothing.py")
        tracking.mlflow().pyfunc.save_model(
            nothing, python_model=code, pip_requirements=["mlflow-skinny"]
        )
        ready = {"models:/animal/Production": [], nothing: []}
        for _ in range(arguments.starts):
            for model, times in ready.items():
                with served(model, *LOCAL) as (_, _, seconds):
                    times.append(seconds)
    print(f"MLflow {importlib.metadata.version('mlflow')}, {os.cpu_count()} cores; ready after")
    for name, times in zip(("the champion", "nothing"), ready.values(), strict=True):
        spread = f"{min(times):.1f} to {max(times):.1f}"
        print(f"  {name:12} {statistics.median(times):.1f} s, of {len(times)} starts {spread}")
    body = json.dumps(about(arguments.photo.read_bytes())).encode()
    with served("models:/animal/Production", *LOCAL) as (address, pid, _):
        asked = [request(address, body)]
        for count in (100, arguments.requests // 2, arguments.requests // 2):
            asyncio.run(clients(address, asked, 4, count=count))
            print(f"resident after {count} more requests: {memory(pid):.0f} MB")


if __name__ == "__main__":
    main()
