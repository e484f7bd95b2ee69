"""One served photo: this pipeline's champion behind both servers, beside the stock Keras flavor.

`mlflow models serve --env-manager local`, `animal serve` and, unless `--no-stock` is given,
MLflow's stock Keras flavor run on this machine; one client sends the same photos at 500 px to each
in turn.
The stock flavor takes what it can: decoded pixels as JSON numbers. For scale, the same work inside
one process: decode, resize and a LiteRT forward pass. Exits with 1 if one photo costs more than
bare + 8 ms through `mlflow models serve`, or bare + 5 ms through `animal serve`.

    dvc repro
    python bench/serving.py /path/to/photos
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from load import shrunk
from servers import about, ask, served

from pipeline.core import tracking
from pipeline.inference import decoding
from pipeline.inference.litert import Network

FINAL = Path("models/final")
WARM_UP = 5
CHAMPION, LOCAL = "models:/animal/Production", ("--env-manager", "local")
MLFLOW, OURS, STOCK, BARE = "mlflow models serve", "animal serve", "stock Keras flavor", "bare"
MOST = {MLFLOW: 8, OURS: 5}  # ms beyond the bare work


def start(servers: ExitStack, stock: bool) -> dict[str, tuple[str, float]]:
    """Starts the servers: address and seconds until it was ready, by name."""
    started = {
        MLFLOW: servers.enter_context(served(CHAMPION, *LOCAL)),
        OURS: servers.enter_context(served(CHAMPION, command=OURS)),
    }
    if stock:
        from pipeline.networks import keras_setup

        folder = Path(servers.enter_context(tempfile.TemporaryDirectory())) / "stock"
        model = keras_setup.keras().saving.load_model(FINAL / "model.keras")
        tracking.mlflow().keras.save_model(model, str(folder))
        started[STOCK] = servers.enter_context(served(str(folder), *LOCAL))
    return {name: (address, ready) for name, (address, _, ready) in started.items()}


def measure(files: list[bytes], addresses: dict[str, str]) -> pd.DataFrame:
    """Milliseconds and bytes of each request: columns server, ms, bytes; the first are left out."""
    network = Network((FINAL / "model.tflite").read_bytes())
    rows = []
    for data in files:
        for name, address in addresses.items():
            body = about(data)
            if name == STOCK:
                body = {"instances": [decoding.square(data, network.size).tolist()]}
            _, took, size = ask(address, body)
            rows.append((name, took, size))
        started = time.perf_counter()
        network.one(decoding.square(data, network.size))
        rows.append((BARE, (time.perf_counter() - started) * 1e3, len(data)))
    measured = rows[WARM_UP * (len(addresses) + 1) :]
    return pd.DataFrame(measured, columns=["server", "ms", "bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos to send")
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--no-stock", action="store_true", help="leave the stock flavor out")
    arguments = parser.parse_args()
    paths = sorted(arguments.source.rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // arguments.photos)][: arguments.photos]
    files = [shrunk(path) for path in paths]
    with ExitStack() as servers:
        started = start(servers, not arguments.no_stock)
        table = measure(files, {name: address for name, (address, _) in started.items()})
    grouped = table.groupby("server")
    shown = grouped["ms"].agg(
        **{
            "median ms": "median",
            "p10 ms": lambda ms: ms.quantile(0.1),  # least disturbed by what else runs
            "p95 ms": lambda ms: ms.quantile(0.95),
        }
    )
    shown["median body, bytes"] = grouped["bytes"].agg(statistics.median)
    shown["beyond bare, ms"] = shown["median ms"] - shown.loc[BARE, "median ms"]
    print(f"{len(files) - WARM_UP} photos, one client, {os.cpu_count()} cores; ready after")
    print(", ".join(f"{ready:.1f} s ({name})" for name, (_, ready) in started.items()), "\n")
    print(shown.sort_values("median ms").round(2).to_string())
    sys.exit(any(shown.loc[name, "beyond bare, ms"] > most for name, most in MOST.items()))


if __name__ == "__main__":
    main()
