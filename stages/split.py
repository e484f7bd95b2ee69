"""Decides which photos train, validate and test."""

from pathlib import Path

import pandas as pd

from pipeline import errors, outputs, params, splits

REPORT = Path("reports/split")


def main() -> None:
    p = params.load()
    manifest = pd.read_parquet("data/photos/manifest.parquet")
    split = splits.assign(manifest, p.split.train, p.split.validation, p.split.seed)
    table = manifest[["photo", "species", "group"]].assign(split=split)
    counts = splits.count(table)
    bits = p.ingest.near_duplicate_bits
    leaks = splits.leaks(manifest["phash"].to_numpy(), split, bits)
    print(counts.to_string(index=False))
    print(f"near-duplicates across splits: {leaks}")
    with outputs.whole(REPORT) as folder:
        folder.mkdir()
        counts.to_csv(folder / "counts.csv", index=False)
        report = pd.DataFrame({"near_duplicate_bits": [bits], "pairs_across_splits": [leaks]})
        report.to_csv(folder / "leaks.csv", index=False)
    splits.require(table)
    with outputs.whole(Path("data/split.parquet")) as path:
        outputs.write_table(table, path)


if __name__ == "__main__":
    errors.run(main)
