"""Accuracy with few photos, and with wrong labels among those that train.

From a collection the script makes two more, with the same test photos: one that trains and chooses
by 20 photos of each species alone, and one where 5 % of the photos that train or choose are said to
be of another species, drawn at random. The whole pipeline runs on the collection and on both, with
nothing cached, for each split seed. Near-duplicates never straddle.

    python bench/hard.py /path/to/photos --seeds 0 1 2
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from accuracy import run
from project import prepare, repro

PER_SPECIES, WRONG = 20, 0.05


def split(source: Path, seed: int, folder: Path) -> pd.DataFrame:
    """What the pipeline makes of a collection: for each photo its path, species, group, split."""
    environment = prepare(source, folder, [f"split.seed={seed}"])
    repro("split", folder, environment)
    columns = ["photo", "path", "species", "group"]
    photos = pd.read_parquet(folder / "data/ingested/manifest.parquet", columns=columns)
    chosen = pd.read_parquet(folder / "data/split.parquet", columns=["photo", "split"])
    return photos.merge(chosen, on="photo").drop(columns="photo")


def few(photos: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """All test photos and so many others of each species, no two of them near-duplicates."""
    test = photos[photos["split"] == "test"]
    rest = photos.drop(test.index).sample(frac=1, random_state=rng).drop_duplicates("group")
    taken = rest.groupby("species").head(PER_SPECIES).assign(split="train")
    validation = taken.groupby("species").tail(PER_SPECIES * 15 // 85).index
    taken.loc[validation, "split"] = "validation"
    return pd.concat([test, taken])


def wrong(photos: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same photos, some of those that train or choose under another species."""
    species = sorted(photos["species"].unique())
    rest = photos.index[photos["split"] != "test"]
    some = rng.choice(rest, round(len(rest) * WRONG), replace=False)
    right = photos.loc[some, "species"].map(species.index)
    other = (right + rng.integers(1, len(species), len(some))) % len(species)
    photos = photos.copy()
    photos.loc[some, "species"] = other.map(dict(enumerate(species)))
    return photos


def write(photos: pd.DataFrame, source: Path, folder: Path) -> Path:
    """A collection of its own: the photos and a table that says what they show."""
    for path in photos["path"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, folder / path)
    photos.rename(columns={"path": "file"}).to_csv(folder / "labels.csv", index=False)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="photos, a folder a species")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="split seeds")
    parser.add_argument("--set", nargs="*", default=[], help="params to change: tune.trials=20")
    arguments = parser.parse_args()
    source, rows = arguments.source.resolve(), []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            photos = split(source, seed, Path(folder))
        rng = np.random.default_rng(seed)
        cases = {
            "all photos": photos,
            f"{PER_SPECIES} photos a species": few(photos, rng),
            f"{WRONG:.0%} wrong labels": wrong(photos, rng),
        }
        for case, chosen in cases.items():
            with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as work:
                collection = write(chosen, source, Path(folder))
                found = run(collection, seed, Path(work), arguments.set)
            rows.append({"case": case} | found)
            print(case, pd.DataFrame([found]).round(4).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    best = table.groupby("seed")["accuracy"].transform("first")
    table["lost"] = best - table["accuracy"]
    shown = table.groupby("case", sort=False)[["accuracy", "lost", "macro_f1", "seconds"]]
    print(f"\n{os.cpu_count()} cores, {len(arguments.seeds)} seeds, mean and standard error:")
    print(shown.agg(["mean", "sem"]).round(4).to_string())


if __name__ == "__main__":
    main()
