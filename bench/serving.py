"""One served picture: this pipeline's champion against the stock Keras flavor, side by side.

Both behind `mlflow models serve --env-manager local` on this machine, one client, the same photos
at 500 px, interleaved. The stock flavor takes what it can: decoded pixels as JSON numbers. For
scale, the same work inside one process: decode, resize and a LiteRT forward pass.

    dvc repro
    python bench/serving.py /path/to/photos
"""

import argparse
import os
import statistics
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
from pipeline.networks import keras_setup

FINAL = Path("models/final")
WARM_UP = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos to ask about")
    parser.add_argument("--photos", type=int, default=100)
    arguments = parser.parse_args()
    paths = sorted(arguments.source.rglob("*.jpg"))
    paths = paths[:: max(1, len(paths) // arguments.photos)][: arguments.photos]
    files = [shrunk(path) for path in paths]

    network = Network((FINAL / "model.tflite").read_bytes())
    model = keras_setup.keras().saving.load_model(FINAL / "model.keras")
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as servers:
        stock = str(Path(folder) / "stock")
        tracking.mlflow().keras.save_model(model, stock)
        local = ("--env-manager", "local")
        ours, _, ready = servers.enter_context(served("models:/animal/Production", *local))
        theirs, _, stock_ready = servers.enter_context(served(stock, *local))
        for data in files:
            _, took, size = ask(ours, about(data))
            rows.append(("this pipeline", took, size))
            body = {"instances": [decoding.square(data, network.size).tolist()]}
            _, took, size = ask(theirs, body)
            rows.append(("stock Keras flavor", took, size))
            started = time.perf_counter()
            network.one(decoding.square(data, network.size))
            took = (time.perf_counter() - started) * 1e3
            rows.append(("bare, in one process", took, len(data)))
    peers = 3
    table = pd.DataFrame(rows[WARM_UP * peers :], columns=["peer", "ms", "bytes"]).groupby("peer")
    shown = table["ms"].agg(**{"median ms": "median", "p95 ms": lambda ms: ms.quantile(0.95)})
    shown["median body, bytes"] = table["bytes"].agg(statistics.median)
    shown["times as long"] = shown["median ms"] / shown.loc["this pipeline", "median ms"]
    print(f"{len(files) - WARM_UP} photos, one client, {os.cpu_count()} cores; ready after")
    print(f"{ready:.1f} s (this pipeline) and {stock_ready:.1f} s (stock Keras flavor)\n")
    print(shown.sort_values("median ms").round(2).to_string())
    ours, bare = (
        shown.loc[name, "median ms"] for name in ("this pipeline", "bare, in one process")
    )
    print(f"\nserved is {(ours - 4) / bare:.2f} times bare, plus 4 ms")


if __name__ == "__main__":
    main()
